//! Limits of viewers: separate places for operators, and for each tenant so many that others always find one.
//!
//! A tenant's organizers may have registered themselves, so their places are separate from those of owners and staff, and
//! one person has a few. Beyond a few that each tenant always finds, a tenant gets at most an eighth of the free places: the
//! fewer are left, the fewer a tenant with places gets.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard},
};

use boxoffice_engine::{Caller, Role, TenantId, UserId};

use crate::locked::Locked as _;

/// Pages of operators, and their different overviews (of all tenants, and of each single one).
const OPERATOR_PAGES_MAX: usize = 64;
const OPERATOR_OVERVIEWS_MAX: usize = 32;
/// Pages of all tenants' people together: each is a connection with one sample.
const PAGES_MAX: usize = 1_000;
/// Pages, and different overviews (each costs a few reads), that tenants share beyond those that each always finds.
const SHARED_PAGES: usize = 400;
const SHARED_OVERVIEWS: usize = 96;
/// The share of the free places that one tenant's group of people may take: one in this many.
const SHARE: usize = 8;
/// The places that each group of people of each tenant always finds. Overviews beyond the shared ones are refreshed less often.
const OWN_PAGES: usize = 4;
const OWN_OVERVIEWS: usize = 1;
/// Pages of one tenant's organizers, and of its owners and staff.
const ORGANIZER_PAGES_MAX: usize = 64;
const OWNER_PAGES_MAX: usize = 32;
/// Different overviews of one tenant's organizers: each sees their own events.
const ORGANIZER_OVERVIEWS_MAX: usize = 14;
/// Pages of one person: a few windows on a few screens.
const PERSON_PAGES_MAX: usize = 8;

/// A viewer's group.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Who {
    tenant: Option<TenantId>,
    role: Role,
    user: Option<UserId>,
}

impl Who {
    fn of(caller: &Caller) -> Self {
        Self {
            tenant: caller.tenant().ok().cloned(),
            role: caller.role(),
            user: caller.user_id(),
        }
    }

    fn is_operator(&self) -> bool {
        self.role == Role::Operator
    }

    fn is_organizer(&self) -> bool {
        self.role == Role::Organizer
    }

    /// Viewers with the same key see the same.
    fn overview(&self) -> (Option<&TenantId>, Role, Option<UserId>) {
        let own = self.user.filter(|_| self.is_organizer());
        (self.tenant.as_ref(), self.role, own)
    }
}

/// The taken places in this process.
#[derive(Debug, Default)]
pub(in crate::routes::controllers) struct Places(Mutex<Taken>);

#[derive(Debug, Default)]
struct Taken {
    next: u64,
    by: HashMap<u64, Who>,
}

/// A place, taken until it is dropped.
#[derive(Debug)]
pub(in crate::routes::controllers) struct Place {
    places: Arc<Places>,
    number: u64,
}

impl Places {
    /// Takes a place, if there is one for this caller.
    pub(in crate::routes::controllers) fn take(self: &Arc<Self>, caller: &Caller) -> Option<Place> {
        let mut taken = self.taken();
        let who = Who::of(caller);
        if !has_room(&taken.by.values().collect::<Vec<_>>(), &who) {
            return None;
        }
        let number = taken.next;
        taken.next += 1;
        taken.by.insert(number, who);
        Some(Place {
            places: self.clone(),
            number,
        })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.locked()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.taken().by.remove(&self.number);
    }
}

fn has_room(taken: &[&Who], who: &Who) -> bool {
    if who.is_operator() {
        let operators = select(taken, Who::is_operator);
        let overviews = other_overviews(&operators, who);
        return operators.len() < OPERATOR_PAGES_MAX && overviews < OPERATOR_OVERVIEWS_MAX;
    }
    let people = select(taken, |other| !other.is_operator());
    let free_pages = SHARED_PAGES.saturating_sub(people.len());
    let free_overviews = SHARED_OVERVIEWS.saturating_sub(other_overviews(&people, who));
    let own = select(&people, |other| other.tenant == who.tenant);
    let own = select(&own, |other| other.is_organizer() == who.is_organizer());
    let of_person = select(&own, |other| who.user.is_some() && other.user == who.user);
    let (pages_max, overviews_max) = match who.is_organizer() {
        true => (ORGANIZER_PAGES_MAX, ORGANIZER_OVERVIEWS_MAX),
        false => (OWNER_PAGES_MAX, ORGANIZER_OVERVIEWS_MAX),
    };
    let pages = (free_pages / SHARE).clamp(OWN_PAGES, pages_max);
    let overviews = (free_overviews / SHARE).clamp(OWN_OVERVIEWS, overviews_max);
    // All owners see the same, and so do staff: these few overviews always have a place.
    let has_overview = !who.is_organizer() || other_overviews(&own, who) < overviews;
    people.len() < PAGES_MAX
        && of_person.len() < PERSON_PAGES_MAX
        && own.len() < pages
        && has_overview
}

fn select<'a>(taken: &[&'a Who], wanted: impl Fn(&Who) -> bool) -> Vec<&'a Who> {
    taken.iter().copied().filter(|who| wanted(who)).collect()
}

/// The number of different overviews other than this one.
fn other_overviews(taken: &[&Who], who: &Who) -> usize {
    let mut overviews: HashSet<_> = taken.iter().map(|other| other.overview()).collect();
    overviews.remove(&who.overview());
    overviews.len()
}

#[cfg(test)]
mod tests {
    use boxoffice_engine::UserRole;

    use super::*;

    fn user(tenant: &str, number: usize, role: UserRole) -> Caller {
        let id = format!("01hzy0000000000000000{number:05}");
        let tenant = TenantId::parse(tenant).unwrap();
        Caller::user(tenant, id.parse().unwrap(), role)
    }

    fn fill(places: &Arc<Places>, callers: impl Iterator<Item = Caller>) -> Vec<Place> {
        callers.filter_map(|caller| places.take(&caller)).collect()
    }

    #[test]
    fn self_made_accounts_of_many_tenants_leave_room_for_everybody_else() {
        let places = Arc::new(Places::default());
        let mut held = Vec::new();
        for tenant in 0..50 {
            let accounts = (0..32).flat_map(|number| std::iter::repeat_n(number, 20));
            let accounts = accounts
                .map(|number| user(&format!("greedy-{tenant}"), number, UserRole::Organizer));
            let got = fill(&places, accounts);
            assert!(!got.is_empty(), "tenant {tenant} gets none");
            assert!(got.len() <= ORGANIZER_PAGES_MAX, "{}", got.len());
            held.extend(got);
        }
        for tenant in ["greedy-0", "late"] {
            held.push(places.take(&user(tenant, 99, UserRole::Owner)).unwrap());
            held.push(places.take(&user(tenant, 98, UserRole::Staff)).unwrap());
        }
        let late = user("late", 97, UserRole::Organizer);
        held.push(places.take(&late).unwrap());
        for _ in 0..OPERATOR_PAGES_MAX {
            held.push(places.take(&Caller::operator()).unwrap());
        }
        assert!(places.take(&Caller::operator()).is_none(), "a bound");
        held.clear();
        assert!(places.taken().by.is_empty());
    }

    #[test]
    fn one_person_has_a_few_pages() {
        let places = Arc::new(Places::default());
        let one = || std::iter::repeat_n(user("north", 1, UserRole::Organizer), 100);
        let mut held = fill(&places, one());
        assert_eq!(held.len(), PERSON_PAGES_MAX);
        held.pop();
        assert_eq!(fill(&places, one()).len(), 1, "a place that was left");
    }

    #[test]
    fn one_tenant_alone_has_no_more_than_its_own() {
        let places = Arc::new(Places::default());
        let all = (0..100).map(|number| user("north", number, UserRole::Organizer));
        assert!(fill(&places, all).len() <= ORGANIZER_OVERVIEWS_MAX);
    }
}
