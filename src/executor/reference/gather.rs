//! Values in other places.

use crate::tensor::{Shape, Tensor};

/// The `output.c` channels from `from` on.
pub(super) fn slice(x: &Tensor, from: usize, output: Shape) -> Tensor {
    gather(x, output, |c, y, x| Some((c + from, y, x)))
}

/// Pads with zeros to the shape of `output`: `top` rows above and `left` columns before, the others after.
pub(super) fn pad(x: &Tensor, [top, left]: [usize; 2], output: Shape) -> Tensor {
    gather(x, output, |c, y, x| Some((c, y.checked_sub(top)?, x.checked_sub(left)?)))
}

/// Repeats each pixel `factor` times in rows and columns.
pub(super) fn upsample(x: &Tensor, factor: usize, output: Shape) -> Tensor {
    gather(x, output, |c, y, x| Some((c, y / factor, x / factor)))
}

/// For each element of the output, the element of `x` at `place`; zero if there is none.
fn gather(x: &Tensor, output: Shape, place: impl Fn(usize, usize, usize) -> Option<(usize, usize, usize)>) -> Tensor {
    let mut data = Vec::with_capacity(output.elements());
    for n in 0..output.n {
        for c in 0..output.c {
            for row in 0..output.h {
                for column in 0..output.w {
                    let inside =
                        place(c, row, column).filter(|(_, row, column)| *row < x.shape.h && *column < x.shape.w);
                    data.push(inside.map_or(0.0, |(c, row, column)| {
                        x.data[((n * x.shape.c + c) * x.shape.h + row) * x.shape.w + column]
                    }));
                }
            }
        }
    }
    Tensor::new(output, data)
}
