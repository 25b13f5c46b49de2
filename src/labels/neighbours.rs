//! Classes by the most similar known images.

use std::sync::Arc;

/// Known images with their classes. The head yields the similarities of an image to them instead of logits of classes, and the classes of
/// the most similar ones are counted, as scikit-learn's `KNeighborsClassifier` does with uniform weights. Among equal similarities the
/// earlier image comes first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Neighbours {
    /// How many of the most similar images are counted.
    pub k: usize,
    /// The class of each known image.
    pub of: Arc<[usize]>,
}

impl Neighbours {
    /// The number of classes.
    #[doc(hidden)]
    pub fn classes(&self) -> usize {
        self.of.iter().max().map_or(0, |last| last + 1)
    }

    /// Each class's share of the most similar images.
    #[doc(hidden)]
    pub fn scores(&self, similarities: &[f32]) -> Vec<f32> {
        let mut order: Vec<usize> = (0..similarities.len().min(self.of.len())).collect();
        let nearer = |a: &usize, b: &usize| similarities[*b].total_cmp(&similarities[*a]).then(a.cmp(b));
        let k = self.k.clamp(1, order.len().max(1));
        if k < order.len() {
            order.select_nth_unstable_by(k, nearer);
            order.truncate(k);
        }
        let mut votes = vec![0_usize; self.classes()];
        order.into_iter().for_each(|image| votes[self.of[image]] += 1);
        votes.into_iter().map(|votes| votes as f32 / k as f32).collect()
    }

    /// The most similar image of a class.
    #[doc(hidden)]
    pub fn nearest(&self, similarities: &[f32], class: usize) -> Option<usize> {
        let of_class = (0..similarities.len().min(self.of.len())).filter(|&image| self.of[image] == class);
        of_class.max_by(|&a, &b| similarities[a].total_cmp(&similarities[b]).then(b.cmp(&a)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_are_counted() {
        let neighbours = |k: usize| Neighbours { k, of: [1, 0, 2, 2, 0].into() };
        let similarities = [0.9, 0.5, 0.5, 0.2, -1.0];
        assert_eq!(neighbours(1).scores(&similarities), [0.0, 1.0, 0.0]);
        assert_eq!(neighbours(2).scores(&similarities), [0.5, 0.5, 0.0]);
        assert_eq!(neighbours(4).scores(&similarities), [0.25, 0.25, 0.5]);
        assert_eq!(neighbours(9).scores(&similarities), [0.4, 0.2, 0.4]);
        let nearest: Vec<_> = (0..4).map(|class| neighbours(1).nearest(&similarities, class)).collect();
        assert_eq!(nearest, [Some(1), Some(0), Some(2), None]);
    }
}
