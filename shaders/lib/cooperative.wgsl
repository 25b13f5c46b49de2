// Operations on 16x16 cooperative matrices in the kernel's arrays tile_x, tile_w and tile_y, which hold vectors of four.

alias MatrixX = coop_mat16x16<f16, A>;
alias MatrixW = coop_mat16x16<f16, B>;
alias MatrixY = coop_mat16x16<f32, C>;

fn load_x(at: u32) -> MatrixX {
    return coopLoadT<coop_mat16x16<f16, A>>(&tile_x[at], X_STRIDE);
}

fn load_w(at: u32) -> MatrixW {
    return coopLoadT<coop_mat16x16<f16, B>>(&tile_w[at], W_STRIDE);
}

fn multiply_add(a: MatrixX, b: MatrixW, sum: MatrixY, thread: u32) -> MatrixY {
    return coopMultiplyAdd(a, b, sum);
}

fn store_y(sum: MatrixY, at: u32, thread: u32) {
    coopStoreT(sum, &tile_y[at], Y_STRIDE);
}

// Index of this subgroup, 0 to 3.
fn quarter(subgroup: u32, thread: u32) -> u32 {
    return subgroup;
}
