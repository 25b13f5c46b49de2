//! Input and output files: named images, records, and files kept between runs.

pub(crate) mod answers;
pub(crate) mod faults;
pub(crate) mod folder;
mod imagenet;
pub(crate) mod index;
pub(crate) mod inputs;
pub(crate) mod labelled;
pub(crate) mod left_out;
pub(crate) mod list;
mod mat;
pub(crate) mod matched;
pub(crate) mod npy;
pub(crate) mod outputs;
pub(crate) mod records;
pub(crate) mod report;
pub(crate) mod resume;
pub(crate) mod tag_report;
pub(crate) mod verdict;
pub(crate) mod views;
pub(crate) mod watched;
pub(crate) mod work;

pub(crate) use residua::files;
