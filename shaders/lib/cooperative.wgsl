// Cooperative matrices of 16x16 as the kernel uses them, on its arrays tile_x, tile_w and tile_y of vectors of four.

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

// Which of the four subgroups this is.
fn quarter(subgroup: u32, thread: u32) -> u32 {
    return subgroup;
}
