//! What was probably meant by the name of a file that is not there.

use std::path::Path;

/// Files that a message names, at most.
const NAMED: usize = 5;

/// What to try in place of a path that cannot be read as a file, as the end of a sentence that says so; empty where
/// there is nothing to say.
///
/// A folder is answered with its files of that ending, a name that is not there with the nearest one of its folder.
#[must_use]
pub fn hint(path: &Path, ending: &str) -> String {
    if path.is_dir() {
        let names = names(path, ending);
        return match listed(path, &names) {
            Some(list) => format!("; it is a folder: name a file of it, such as {list}"),
            None => format!("; it is a folder, and has no `.{ending}` files"),
        };
    }
    if path.exists() {
        return String::new();
    }
    let folder = path.parent().unwrap_or(Path::new(""));
    let here = if folder == Path::new("") {
        Path::new(".")
    } else {
        folder
    };
    if !here.is_dir() {
        return format!("; there is no folder `{}`", folder.display());
    }
    // Endings are left out of it: who forgets one means the name before it.
    let wanted = path.file_stem().unwrap_or_default().to_string_lossy();
    let names = names(here, ending);
    let near = names.iter().map(|name| {
        let stem = name.strip_suffix(&format!(".{ending}")).unwrap_or(name);
        (strsim::damerau_levenshtein(&wanted, stem), name)
    });
    let limit = (wanted.chars().count() / 3).max(1);
    match near.filter(|(distance, _)| *distance <= limit).min() {
        Some((_, name)) => format!("; did you mean `{}`?", folder.join(name).display()),
        None => match listed(folder, &names) {
            Some(list) => format!("; there are {list}"),
            None => String::new(),
        },
    }
}

/// The names of a folder's files with an ending, in order.
fn names(folder: &Path, ending: &str) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let paths = entries.filter_map(|entry| entry.ok().map(|entry| entry.path()));
    let files = paths.filter(|path| path.extension().is_some_and(|found| found == ending));
    let mut names: Vec<String> = files
        .filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
        .collect();
    names.sort();
    names
}

fn listed(folder: &Path, names: &[String]) -> Option<String> {
    let shown = names.iter().take(NAMED);
    let shown: Vec<String> = shown
        .map(|name| format!("`{}`", folder.join(name).display()))
        .collect();
    let more = if names.len() > NAMED {
        " and others"
    } else {
        ""
    };
    (!shown.is_empty()).then(|| shown.join(", ") + more)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_what_is_near() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let said = |name: &str| hint(&at(name), "net").replace(&at("").display().to_string(), "");
        assert_eq!(said("a.net"), "");
        for name in ["lenet5.net", "xor.net", "notes.txt"] {
            std::fs::write(at(name), "").unwrap();
        }
        assert_eq!(said("lennet5.net"), "; did you mean `lenet5.net`?");
        assert_eq!(said("lenet5"), "; did you mean `lenet5.net`?");
        assert_eq!(said("deep50.net"), "; there are `lenet5.net`, `xor.net`");
        assert_eq!(said("xor.net"), "");
        assert!(said("no/xor.net").contains("there is no folder"));
        let found = hint(folder.path(), "net");
        assert!(
            found.contains("it is a folder: name a file of it, such as"),
            "{found}"
        );
        std::fs::create_dir(at("empty")).unwrap();
        assert_eq!(said("empty"), "; it is a folder, and has no `.net` files");
    }
}
