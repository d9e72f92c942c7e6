//! Circles in a graph.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Which file uses which others, each with one name that it uses of it.
pub(super) type Graph = BTreeMap<String, BTreeMap<String, String>>;

/// For each file in a circle the shortest one that leads through it, without repetition. A circle begins with the file
/// that is first in the alphabet, and does not repeat it at its end.
pub(super) fn circles(graph: &Graph) -> BTreeSet<Vec<String>> {
    let circles = graph.keys().filter_map(|file| {
        let mut circle = way(graph, file, file)?;
        let first = circle.iter().enumerate().min_by_key(|(_, file)| *file);
        let first = first.map_or(0, |(at, _)| at);
        circle.rotate_left(first);
        Some(circle)
    });
    circles.collect()
}

/// The shortest way from one file to another, or back to it: `from` and all that lies between.
pub(super) fn way(graph: &Graph, from: &str, to: &str) -> Option<Vec<String>> {
    let mut came_from: BTreeMap<&str, &str> = BTreeMap::new();
    let mut next = VecDeque::from([from]);
    while let Some(file) = next.pop_front() {
        for used in graph.get(file).into_iter().flat_map(BTreeMap::keys) {
            if used == to {
                return Some(back(&came_from, file, from));
            }
            if used != from && !came_from.contains_key(used.as_str()) {
                came_from.insert(used, file);
                next.push_back(used);
            }
        }
    }
    None
}

fn back(came_from: &BTreeMap<&str, &str>, last: &str, first: &str) -> Vec<String> {
    let mut way = vec![last.to_owned()];
    let mut file = last;
    while file != first
        && let Some(before) = came_from.get(file)
    {
        way.push((*before).to_owned());
        file = *before;
    }
    way.reverse();
    way
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(edges: &[(&str, &str)]) -> Graph {
        let mut graph = Graph::new();
        for (from, to) in edges {
            let uses = graph.entry((*from).to_owned()).or_default();
            uses.insert((*to).to_owned(), String::new());
        }
        graph
    }

    #[test]
    fn the_shortest_circle_through_each_file_is_found_once() {
        let tangled = [("a", "b"), ("b", "c"), ("c", "a"), ("c", "b"), ("d", "a")];
        let found: Vec<_> = circles(&graph(&tangled)).into_iter().collect();
        assert_eq!(found, [vec!["a", "b", "c"], vec!["b", "c"]]);
    }

    #[test]
    fn what_points_one_way_has_none() {
        let pointed = [("a", "b"), ("b", "c"), ("a", "c")];
        assert_eq!(circles(&graph(&pointed)), BTreeSet::new());
    }
}
