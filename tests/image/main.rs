//! Tests decoding and preprocessing with Pillow's results, broken files and real photos.

mod broken;
mod compare;
mod damage;
mod formats;
mod gif;
mod golden;
mod heif;
mod limits;
mod orientation;
mod photos;
mod preprocess;
mod tiff;
