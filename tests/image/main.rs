//! The image path against Pillow, against broken files and against real photos.

mod broken;
mod compare;
mod formats;
mod golden;
mod limits;
mod orientation;
mod photos;
mod preprocess;
