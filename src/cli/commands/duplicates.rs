//! `residua similar --duplicates`: lists near-duplicate images of a folder, in groups or in pairs.

use std::path::Path;

use residua::{Classifier, cosine};
use serde::Serialize;

use crate::cli::{
    args::{Similar, SimilarFormat},
    io::{inputs::text_of, records::Output},
    outcome::Stop,
    terminal::interrupt::Interrupt,
};

/// Images with at least this similarity are near-duplicates, unless --min-score sets another limit.
pub(super) const NEAR: f32 = 0.95;

#[derive(Serialize)]
struct JsonGroup {
    paths: Vec<String>,
    score: f32,
}

/// Writes the near-duplicates among the images at `paths`, whose features are `vectors`. Returns the number of groups or pairs.
pub(super) fn run(
    command: &Similar,
    classifier: &Classifier,
    interrupt: &Interrupt,
    paths: &[&Path],
    vectors: &[&[f32]],
    out: &mut Output<'_>,
) -> Result<usize, Stop> {
    let least = command.min_score.unwrap_or(NEAR);
    let mut found = 0;
    let mut write = |members: &[usize], score: f32| {
        found += 1;
        let paths: Vec<String> = members.iter().map(|&i| text_of(paths[i])).collect();
        match command.format {
            SimilarFormat::Jsonl => out.json(&JsonGroup { paths, score })?,
            SimilarFormat::Text => out.put(format!("{score:.4}  {}\n", paths.join("  ")).as_bytes())?,
        }
        out.flush()
    };
    if command.pairs {
        pairs(classifier, interrupt, vectors, &mut |first, second, score, error| {
            let score = if score + error < least { score } else { cosine(vectors[first], vectors[second]) };
            if score < least { Ok(()) } else { write(&[first, second], score) }
        })?;
        return Ok(found);
    }
    let mut groups = Groups::new(vectors.len());
    pairs(classifier, interrupt, vectors, &mut |first, second, score, error| {
        let alike = || score - error >= least || cosine(vectors[first], vectors[second]) >= least;
        if score + error >= least && groups.of(first) != groups.of(second) && alike() {
            groups.join(first, second);
        }
        Ok(())
    })?;
    let members = groups.members();
    if members.is_empty() {
        return Ok(0);
    }
    // The lowest similarity within each group.
    let mut lowest = vec![f32::INFINITY; vectors.len()];
    pairs(classifier, interrupt, vectors, &mut |first, second, score, error| {
        let group = groups.of(first);
        if groups.of(second) == group && score - error < lowest[group] {
            lowest[group] = lowest[group].min(cosine(vectors[first], vectors[second]));
        }
        Ok(())
    })?;
    members.iter().try_for_each(|members| write(members, lowest[groups.of(members[0])]))?;
    Ok(found)
}

/// Calls `each` once for each pair of vectors, with their positions, their similarity, and the largest error of that similarity.
fn pairs(
    classifier: &Classifier,
    interrupt: &Interrupt,
    vectors: &[&[f32]],
    each: &mut dyn FnMut(usize, usize, f32, f32) -> Result<(), Stop>,
) -> Result<(), Stop> {
    classifier.similarities(vectors, vectors, &mut |part| {
        interrupt.check()?;
        for (first, row) in (part.query..).zip(part.rows) {
            for (second, score) in (part.vector..).zip(row).filter(|(second, _)| *second > first) {
                each(first, second, score, part.error)?;
            }
        }
        Ok(())
    })
}

/// Groups of things that are joined directly or through others (union-find).
struct Groups {
    /// For each thing, an earlier one of its group; for the first of a group, itself.
    earlier: Vec<usize>,
}

impl Groups {
    fn new(things: usize) -> Self {
        Groups { earlier: (0..things).collect() }
    }

    /// The first thing in the group of `thing`.
    fn of(&mut self, mut thing: usize) -> usize {
        while self.earlier[thing] != thing {
            // Halve the path for the next call.
            self.earlier[thing] = self.earlier[self.earlier[thing]];
            thing = self.earlier[thing];
        }
        thing
    }

    fn join(&mut self, one: usize, other: usize) {
        let (one, other) = (self.of(one), self.of(other));
        self.earlier[one.max(other)] = one.min(other);
    }

    /// The groups with at least two members, in the order of their first members.
    fn members(&mut self) -> Vec<Vec<usize>> {
        let mut members = vec![Vec::new(); self.earlier.len()];
        for thing in 0..self.earlier.len() {
            members[self.of(thing)].push(thing);
        }
        members.retain(|members| members.len() > 1);
        members
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_joined_through_others_is_one_group() {
        let mut groups = Groups::new(8);
        for (one, other) in [(6, 7), (1, 5), (5, 6), (3, 2), (7, 1)] {
            groups.join(one, other);
        }
        assert_eq!(groups.members(), [vec![1, 5, 6, 7], vec![2, 3]]);
        assert!(Groups::new(3).members().is_empty());
    }
}
