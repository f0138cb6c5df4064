//! `waxseal policy diff`, `waxseal serve-policy` and `waxseal table query`, as they are called.

mod diff;
mod real_postfix;
mod serve;
mod server;
mod table;

use std::path::Path;

fn write(path: &Path, text: &str) -> String {
    std::fs::write(path, text).expect("the folder is ours");
    path.display().to_string()
}
