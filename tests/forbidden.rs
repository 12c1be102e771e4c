//! A system that lets no memory that was written become executable, as hardened kernels and sandboxes do.
#![cfg(target_os = "linux")]
#![allow(
    unsafe_code,
    clippy::print_stderr,
    reason = "takes rights from a child process, and says where that cannot be done"
)]

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// `PR_SET_MDWE` of Linux 6.3, and its `PR_MDWE_REFUSE_EXEC_GAIN`.
const REFUSE: [libc::c_ulong; 2] = [65, 1];

fn netc(args: &[&str]) -> Option<(bool, String)> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_netc"));
    command.args(args).current_dir(env!("CARGO_MANIFEST_DIR"));
    let refuse = || {
        let [option, bits] = REFUSE;
        let option = libc::c_int::try_from(option).expect("it is small");
        // SAFETY: the call takes numbers alone, and changes what this process may do, and nothing else.
        match unsafe { libc::prctl(option, bits, 0, 0, 0) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    };
    // SAFETY: between fork and exec it does one system call and allocates nothing.
    unsafe { command.pre_exec(refuse) };
    match command.output() {
        Ok(output) => {
            let told = String::from_utf8_lossy(&output.stderr).into_owned();
            Some((output.status.success(), told))
        }
        Err(error) => {
            eprintln!("skipped: this system does not refuse executable memory: {error}");
            None
        }
    }
}

#[test]
fn what_may_not_run_is_said_with_a_way_out() {
    let Some((ran, told)) = netc(&["bench", "examples/xor.net"]) else {
        return;
    };
    assert!(!ran && told.contains("forbids running code"), "{told}");
    assert!(told.contains("--interpret f32"), "{told}");
    // What needs no machine code works.
    let out = concat!(env!("CARGO_TARGET_TMPDIR"), "/interpreted.safetensors");
    let training = [
        "train",
        "examples/xor.net",
        "--set",
        "train.epochs=2",
        "--out",
        out,
    ];
    let interpreted = [training.as_slice(), &["--interpret", "f32"]].concat();
    let (ran, told) = netc(&interpreted).expect("as before");
    assert!(ran, "{told}");
    let (ran, told) = netc(&["check", "examples/xor.net"]).expect("as before");
    assert!(ran, "{told}");
}
