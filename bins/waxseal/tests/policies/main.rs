//! `waxseal policy diff` and `waxseal serve-policy`, as they are called.

mod diff;
mod real_postfix;
mod serve;
mod server;

use std::path::Path;

fn write(path: &Path, text: &str) -> String {
    std::fs::write(path, text).expect("the folder is ours");
    path.display().to_string()
}
