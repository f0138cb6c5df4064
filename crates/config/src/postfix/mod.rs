//! Postfix's `main.cf` and `master.cf`.
//!
//! `file` reads the lines of the one, `master` those of the other, `doors` where its servers listen, `expand` knows `$name`, `table` says what becomes of each parameter, with
//! Postfix's defaults, `layers` makes keys of them, `limits` those of single transports, and `remarks` tells what is not honoured or odd.

mod doors;
mod expand;
mod file;
mod layers;
mod limits;
mod master;
mod page;
mod remarks;
mod table;

pub(crate) use file::MainCf;
pub use file::main_cf_values;
pub use page::{Parameter, parameters, parameters_page};
