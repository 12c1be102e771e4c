//! Runs the built program in a folder of its own, for tests that use it as a user does.
#![allow(dead_code, reason = "not every test file needs all of it")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// A folder for the files of one test.
pub(crate) struct Folder(tempfile::TempDir);

/// What a command did.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Folder {
    pub(crate) fn new() -> Folder {
        Folder(tempfile::tempdir().expect("a temporary folder"))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("a written file");
    }

    /// Runs the program in the folder; arguments are parted by blanks.
    pub(crate) fn netc(&self, args: &str) -> Done {
        let output = command(args)
            .current_dir(self.0.path())
            .output()
            .expect("the program starts");
        Done::from(output)
    }

    /// Runs the program, which must succeed.
    pub(crate) fn ok(&self, args: &str) -> String {
        let done = self.netc(args);
        assert_eq!(done.code, Some(0), "{args}: {done:?}");
        done.stdout
    }

    /// As [`Folder::ok`], for output of an object a line.
    pub(crate) fn json(&self, args: &str) -> Vec<Value> {
        let text = self.ok(args);
        let lines = text.lines().map(serde_json::from_str);
        lines
            .collect::<Result<_, _>>()
            .unwrap_or_else(|error| panic!("{args}: {error}: {text}"))
    }

    /// Runs the program, which must end with a code and a message.
    pub(crate) fn fails(&self, args: &str, code: i32, message: &str) {
        let done = self.netc(args);
        assert_eq!(done.code, Some(code), "{args}: {done:?}");
        assert!(
            done.stderr.contains(message),
            "{args}: no `{message}` in {}",
            done.stderr
        );
        assert!(!done.stderr.contains("internal error"), "{args}: {done:?}");
    }
}

impl From<Output> for Done {
    fn from(output: Output) -> Done {
        let text = |bytes| String::from_utf8(bytes).expect("the program writes UTF-8");
        Done {
            code: output.status.code(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }
}

pub(crate) fn command(args: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_netc"));
    command.args(args.split_whitespace()).env("NO_COLOR", "1");
    command
}

pub(crate) fn root(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    path.display().to_string()
}
