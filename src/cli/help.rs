//! The texts of `--help` that are longer than a line, and what is offered where a name is wrong.

use clap::Command;

/// The commands as they are grouped in the help; a test holds that each is named once.
const GROUPS: [(&str, &[&str]); 4] = [
    (
        "Write a net",
        &["check", "fmt", "summary", "layers", "std", "explain"],
    ),
    (
        "Train and use it",
        &["train", "eval", "run", "condense", "init", "grad"],
    ),
    ("Look inside", &["dump", "compile", "bench"]),
    ("Your shell", &["completions", "help"]),
];

/// What stands below the options of `netc --help`.
pub(super) const FIRST_STEPS: &str = "\
First steps:
  netc check examples/lenet5.net
  netc summary examples/lenet5.net
  netc train examples/lenet5.net --out lenet5.safetensors
  netc run examples/lenet5.net --weights lenet5.safetensors --index 0..9
  netc run examples/lenet5.net --weights lenet5.safetensors --image shoe.png

FILE is a `.net` file; FILE:NAME is one of its nets or presets.
`netc help COMMAND` tells more of a command, `netc layers` what nets are made of.

Exit codes: 0 all went well, 1 a file, data or the machine is at fault,
  2 the command line is wrong, 70 a bug in netc,
  130 and 143 stopped by Ctrl-C or `kill` after all was saved.
Colours: NO_COLOR=1 or CLICOLOR=0 turns them off, CLICOLOR_FORCE=1 turns them on;
  without a terminal there are none.";

pub(super) const CHECK: &str = "\
Example:
  netc check examples/lenet5.net
  netc check --json my.net            an object for each finding, for editors

Every mistake of all files is shown in one run. The exit code is 1 if there is one; warnings do not count.";

pub(super) const FMT: &str = "\
Example:
  netc fmt examples/*.net
  netc fmt --check my.net            lists what is laid out otherwise, and changes nothing
  netc fmt - < my.net                a filter, for editors";

pub(super) const EXPLAIN: &str = "\
Example:
  netc explain N0207
  netc explain                       all codes, a line each";

pub(super) const STD: &str = "\
Example:
  netc std                           the modules that come along, and their blocks
  netc std conv                      the text of one, to read or to copy";

pub(super) const SUMMARY: &str = "\
Example:
  netc summary examples/lenet5.net
  netc summary --set classes=100 examples/lenet5.net
  netc summary --scale examples/efficientnet.net         a family, a line a net
  netc summary --scale --gmacs 20 --gbytes 10 my.net     for a machine that is stated, not measured

MACs are multiply-accumulates of one image; memory is what the plan of the compiler reserves, weights included.";

pub(super) const DUMP: &str = "\
Example:
  netc dump examples/lenet5.net --stage graph
  netc dump examples/lenet5.net --stage asm --kernel conv --isa avx2";

pub(super) const COMPILE: &str = "\
Example:
  netc compile examples/lenet5.net
  netc compile examples/lenet5.net --isa baseline --json";

pub(super) const INIT: &str = "\
Example:
  netc init examples/lenet5.net --out fresh.safetensors --seed 7";

pub(super) const TRAIN: &str = "\
Example:
  netc train examples/lenet5.net --out lenet5.safetensors
  netc train examples/lenet5.net --data fashion_mnist --epochs 4 --set train.optimizer.lr=0.02

Everything that is not given here, the file's `train` section says. Curves are drawn beside --out, as SVG.";

pub(super) const EVAL: &str = "\
Example:
  netc eval examples/lenet5.net --weights lenet5.safetensors";

pub(super) const CONDENSE: &str = "\
Example:
  netc train examples/condensenet_cifar.net:Fashion --out fashion.safetensors
  netc condense examples/condensenet_cifar.net:Fashion --weights fashion.safetensors --out condensed.net
  netc eval condensed.net --weights condensed.safetensors

Each `lgconv` becomes an `index` of the channels that its groups have kept and a convolution in groups, which compute the
same. Blocks, loops and comments stay; the lists of channels stand at the end of the file.";

pub(super) const GRAD: &str = "\
Example:
  netc grad examples/lenet5.net --weights lenet5.safetensors --input x.npy --target t.npy --grads-out g.safetensors";

pub(super) const BENCH: &str = "\
Example:
  netc bench examples/lenet5.net --mode infer --batch 1,64 --threads 1,2";

pub(super) const LAYERS: &str = "\
Example:
  netc layers                all layers, a line each
  netc layers conv maxpool   formula, shapes, attributes with defaults, weights, paper";

pub(super) const COMPLETIONS: &str = "\
Example:
  netc completions bash > ~/.local/share/bash-completion/completions/netc
  netc completions zsh > ~/.zfunc/_netc          with `fpath+=~/.zfunc` before `compinit` in ~/.zshrc
  netc completions fish > ~/.config/fish/completions/netc.fish";

/// The commands by group, as `--help` lists them.
pub(super) fn listing(command: &Command) -> String {
    let about = |name: &str| match command.find_subcommand(name) {
        Some(command) => command.get_about().map(ToString::to_string),
        None => Some("Tell more of a command".to_owned()),
    };
    let mut text = String::new();
    for (title, names) in GROUPS {
        text.push_str(&format!("{title}:\n"));
        for name in names {
            let about = about(name).unwrap_or_default();
            text.push_str(&format!("  {name:<12} {about}\n"));
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_command_is_in_one_group() {
        let command = crate::cli::command();
        let mut grouped: Vec<&str> = GROUPS
            .iter()
            .flat_map(|(_, names)| names.iter().copied())
            .collect();
        let mut known: Vec<&str> = command.get_subcommands().map(Command::get_name).collect();
        known.push("help");
        grouped.sort_unstable();
        known.sort_unstable();
        known.dedup();
        assert_eq!(grouped, known);
    }

    #[test]
    fn each_command_shows_an_example() {
        for command in crate::cli::command().get_subcommands() {
            let name = command.get_name();
            let example = command.get_after_help().map(ToString::to_string);
            let example = example.unwrap_or_default();
            assert!(
                name == "help" || example.contains(&format!("netc {name}")),
                "{name}"
            );
        }
    }
}
