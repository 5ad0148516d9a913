use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::{Act, Ends, Exchange, Link, Net, Place, Rest};
use crate::engine::Transport;
use crate::explore::World;
use crate::explore::fingerprint::Fingerprint;

impl<E: Ends> World for Net<E> {
    type Act = Act<E::Act>;

    fn fingerprint(&self) -> u128 {
        Fingerprint::new(self.now, self.ends.requests()).of(self)
    }

    fn acts(&self) -> Vec<Self::Act> {
        let mut acts = self.possible();
        acts.extend(self.ends.reactions().into_iter().map(Act::React));
        let wait = self.deadline.map(|deadline| deadline - self.now);
        acts.extend(wait.filter(|wait| acts.is_empty() || *wait <= self.patience).map(Act::Wait));
        let planned = self.plans.iter().filter_map(|plan| plan.first());
        acts.extend(planned.filter(|act| self.is_possible(act)).cloned());
        acts
    }

    fn is_fair(act: &Self::Act) -> bool {
        !matches!(act, Act::Fail(_) | Act::Twin(_) | Act::Break | Act::App(_))
    }

    fn act(&mut self, act: &Self::Act) {
        if !Self::is_fair(act)
            && let Some(plan) = self.plans.iter_mut().find(|plan| plan.first() == Some(act))
        {
            plan.remove(0);
        }
        self.plans.retain(|plan| !plan.is_empty());
        self.happen(act);
    }

    fn describe(&self) -> String {
        let (exchanges, links) = (&self.exchanges, &self.links);
        format!("requests {exchanges:#?}\nstreams {links:#?}\nat rest {:?}", self.ends.rests())
    }

    fn is_settled(&self) -> bool {
        let Some(rest) = self.ends.rests() else { return false };
        let polls = |exchange: &Exchange| exchange.is_wanted("GET") && exchange.place == Place::Inside;
        match rest {
            Rest::Over => self.exchanges.is_empty() && self.links.is_empty(),
            Rest::Connected(Transport::Polling) => {
                self.links.is_empty() && self.exchanges.len() == 1 && self.exchanges.iter().all(polls)
            }
            Rest::Connected(Transport::WebSocket) => {
                self.exchanges.is_empty() && self.links.len() == 1 && self.links.iter().all(Link::is_quiet)
            }
        }
    }
}

impl<E: Ends> Net<E> {
    /// Whether what is planned can happen now.
    fn is_possible(&self, act: &Act<E::Act>) -> bool {
        match act {
            Act::Fail(method) => self.exchanges.iter().any(|exchange| exchange.is_wanted(method)),
            Act::Twin(_) => self.exchanges.iter().any(|exchange| exchange.target.contains("sid=")),
            Act::Break => self.links.iter().any(|link| !link.broken),
            Act::App(act) => self.ends.can(act),
            _ => true,
        }
    }
}
