//! The true classes of images, and their folds.

use crate::{Error, Result};

/// The classes of each of some images.
#[derive(Debug, Clone, PartialEq)]
pub struct Truth {
    /// The number of classes.
    pub classes: usize,
    /// Whether an image may have several classes, or none.
    pub several: bool,
    /// The classes of each image.
    pub of: Vec<Vec<usize>>,
}

impl Truth {
    /// The number of images of each class.
    #[doc(hidden)]
    pub fn counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.classes];
        self.of.iter().flatten().for_each(|&class| counts[class] += 1);
        counts
    }

    /// Checks that there are at least two classes (one if images may have several), each with at least two images, and that each image has
    /// one class, or any number if it may have several.
    ///
    /// # Errors
    /// [`Error::ConfigValue`] otherwise.
    #[doc(hidden)]
    pub fn check(&self) -> Result<()> {
        let invalid =
            |field: &str, value: String, expected: &str| Err(Error::config_value("the images", field, value, expected));
        let least = if self.several { 1 } else { 2 };
        if self.classes < least {
            return invalid("classes", self.classes.to_string(), &format!("{least} at least"));
        }
        let beyond = |classes: &&Vec<usize>| classes.iter().any(|&class| class >= self.classes);
        if let Some(classes) = self.of.iter().find(beyond) {
            return invalid("a class", format!("{classes:?}"), &format!("classes below {}", self.classes));
        }
        if let Some(image) = self.of.iter().position(|classes| !self.several && classes.len() != 1) {
            return invalid(&format!("classes of image {image}"), format!("{:?}", self.of[image]), "one");
        }
        match self.counts().iter().position(|&count| count < 2) {
            Some(class) => {
                let count = self.counts()[class];
                invalid(
                    &format!("images of class {class}"),
                    count.to_string(),
                    "two at least: one to learn from, one to check with",
                )
            }
            None => Ok(()),
        }
    }

    /// Checks that images have one class each.
    ///
    /// # Errors
    /// [`Error::ConfigValue`] if they may have several.
    pub(super) fn check_one(&self) -> Result<()> {
        if !self.several {
            return Ok(());
        }
        let expected = "one class per image; only logistic regression takes several";
        Err(Error::config_value("the images", "labels", "several per image", expected))
    }

    /// The fold of each image, out of `folds`. The images of each class are spread evenly over the folds, in their order: the folds of
    /// scikit-learn's `StratifiedKFold` without shuffling. Images that may have several classes are dealt out in turn.
    #[doc(hidden)]
    pub fn folds(&self, folds: usize) -> Vec<usize> {
        if self.several {
            return (0..self.of.len()).map(|image| image % folds).collect();
        }
        let counts = self.counts();
        let mut order: Vec<usize> = Vec::new();
        for &class in self.of.iter().flatten() {
            if !order.contains(&class) {
                order.push(class);
            }
        }
        let mut before = 0;
        let mut left = vec![Vec::new().into_iter(); self.classes];
        for class in order {
            // With the images sorted by class, in the order in which classes first appear, those of this class begin at `before`, and every
            // `folds`-th image is in the same fold.
            let places = before..before + counts[class];
            let of_fold = |fold: usize| places.clone().filter(|place| place % folds == fold).count();
            left[class] =
                (0..folds).flat_map(|fold| std::iter::repeat_n(fold, of_fold(fold))).collect::<Vec<_>>().into_iter();
            before = places.end;
        }
        self.of.iter().map(|classes| classes.first().and_then(|&class| left[class].next()).unwrap_or(0)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folds_are_those_of_scikit_learn() {
        // StratifiedKFold(3) for y = [0, 0, 1, 0, 1, 1, 1, 0, 2, 2, 1], and for the same classes under other numbers
        for names in [[0, 1, 2], [2, 0, 1]] {
            let of = [0, 0, 1, 0, 1, 1, 1, 0, 2, 2, 1].map(|class| vec![names[class]]);
            let truth = Truth { classes: 3, several: false, of: of.into() };
            assert_eq!(truth.folds(3), [0, 0, 0, 1, 1, 1, 2, 2, 0, 1, 2]);
        }
    }
}
