use alloc::collections::VecDeque;
use core::mem;

/// What is to be told, in order: a queue that takes no memory for a single entry.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Queue<T> {
    first: Option<T>,
    pub(super) rest: VecDeque<T>,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { first: None, rest: VecDeque::new() }
    }
}

impl<T> Queue<T> {
    pub(super) fn push(&mut self, entry: T) {
        match self.first {
            None => self.first = Some(entry),
            Some(_) => self.rest.push_back(entry),
        }
    }

    pub(super) fn pop(&mut self) -> Option<T> {
        self.first.as_ref()?;
        let next = self.rest.pop_front();
        if next.is_none() {
            self.rest = VecDeque::new();
        }
        mem::replace(&mut self.first, next)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.first.iter().chain(&self.rest)
    }

    /// Drops what `keep` does not want.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
        self.rest.retain(&mut keep);
        if self.first.as_ref().is_some_and(|first| !keep(first)) {
            self.first = self.rest.pop_front();
        }
        if self.rest.is_empty() {
            self.rest = VecDeque::new();
        }
    }
}
