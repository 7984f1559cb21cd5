//! The use case that gives people what is kept about them.
//!
//! Called by hosts. Calls the users, sessions, events, subscriptions, bookings, check-ins, payments, receipts and notifications modules.

use std::{fmt, str::FromStr};

use super::Users;
use crate::{
    error::{Error, Result},
    types::{
        Caller, Hold, Page, PageRequest, PersonalRecord, Role, Scope, SessionOwner, TenantId,
        UserId,
    },
};

/// The records that have pages of their own, in the order of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Section {
    Account,
    Bookings,
    ReceivedTickets,
    Holds,
    Payments,
    WaitlistPlaces,
    Deliveries,
}

impl Section {
    const ALL: [Self; 7] = [
        Self::Account,
        Self::Bookings,
        Self::ReceivedTickets,
        Self::Holds,
        Self::Payments,
        Self::WaitlistPlaces,
        Self::Deliveries,
    ];

    fn next(self) -> Option<Self> {
        Self::ALL.get(self as usize + 1).copied()
    }
}

/// Where a page begins: a section, of mails the account that they went to, and the section's own cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Position {
    section: Section,
    account: Option<UserId>,
    cursor: Option<String>,
}

impl Position {
    fn first_of(section: Section) -> Self {
        Self {
            section,
            account: None,
            cursor: None,
        }
    }

    fn request(&self, limit: u32) -> PageRequest {
        PageRequest {
            cursor: self.cursor.clone(),
            limit,
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let account = self.account.map(|account| account.to_string());
        let (account, cursor) = (account.as_deref().unwrap_or_default(), &self.cursor);
        let cursor = cursor.as_deref().unwrap_or_default();
        write!(formatter, "{}/{account}/{cursor}", self.section as usize)
    }
}

impl FromStr for Position {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut parts = text.splitn(3, '/');
        let mut part = || parts.next().ok_or_else(PageRequest::not_a_cursor);
        let section: usize = part()?.parse().map_err(|_| PageRequest::not_a_cursor())?;
        let section = Section::ALL.get(section).copied();
        let section = section.ok_or_else(PageRequest::not_a_cursor)?;
        let (account, cursor) = (part()?, part()?);
        let account = Some(account).filter(|account| !account.is_empty());
        Ok(Self {
            section,
            account: account.map(str::parse).transpose()?,
            cursor: Some(cursor.to_owned()).filter(|cursor| !cursor.is_empty()),
        })
    }
}

impl Users {
    /// Lists all that is kept about a user, for the user, and for the tenant's owners: the account and what belongs to it, then
    /// bookings with their receipts, tickets that others gave to the user, holds, payments, waiting places and mails. Also that of the accounts without a password that tickets were sold to
    /// at the user's address before. A page may have fewer items than its limit, and still have a next page; the first one has
    /// everything of the account.
    ///
    /// It does not have what names other people, what policies were asked, and the audit log, which names people by id.
    ///
    /// # Errors
    /// `not-authenticated`, `forbidden`, `not-found`, `field-invalid` for a broken cursor.
    pub async fn personal_data(
        &self,
        caller: &Caller,
        user: UserId,
        page: PageRequest,
    ) -> Result<Page<PersonalRecord>> {
        caller.require_signed_in()?;
        let is_own = caller.user_id() == Some(user) && caller.api_key_id().is_none();
        if !is_own {
            let caller = &caller.scoped(Scope::Customers)?;
            caller.require_any(
                &[Role::Owner],
                "Only an owner of this tenant may export other people's data.",
            )?;
        }
        let tenant = caller.tenant()?;
        let at = page.position::<Position>()?;
        let at = at.unwrap_or_else(|| Position::first_of(Section::Account));
        // Refuses an unknown user on each page.
        let users = &self.0.modules.users;
        let account = users.find(tenant, user).await?;
        account.ok_or_else(|| Error::not_found("user", user))?;
        let accounts = users.accounts_of(tenant, user).await?;
        let (read, after) = match at.section {
            Section::Deliveries => {
                self.delivery_records(tenant, &accounts, &at, page.limit)
                    .await?
            }
            _ => {
                let request = at.request(page.limit);
                let read = self.records_of(tenant, &accounts, at.section, &request);
                (read.await?, at.section.next().map(Position::first_of))
            }
        };
        let next = match read.next {
            Some(cursor) => Some(Position {
                cursor: Some(cursor),
                ..at
            }),
            None => after,
        };
        Ok(Page {
            items: read.items,
            next: next.map(|next| next.to_string()),
        })
    }

    /// A page of what all accounts of a user have together; the user's own is the first of them.
    async fn records_of(
        &self,
        tenant: &TenantId,
        accounts: &[UserId],
        section: Section,
        page: &PageRequest,
    ) -> Result<Page<PersonalRecord>> {
        let bookings = &self.0.modules.bookings;
        let user = accounts.first().copied();
        let user = user.ok_or_else(|| Error::internal("a user has no account"))?;
        match section {
            Section::Account => Ok(Page {
                items: self.account_records(tenant, accounts, user).await?,
                next: None,
            }),
            Section::Bookings => self.booking_records(tenant, accounts, page).await,
            Section::ReceivedTickets => {
                let received = self.0.received_tickets(tenant, accounts, page).await?;
                Ok(received.map(|mut one| {
                    // Whoever has a code or the link comes in, and owners of the tenant read these lists, too.
                    one.ticket.code = None;
                    one.ticket.tickets_url = None;
                    PersonalRecord::ReceivedTicket(Box::new(one))
                }))
            }
            Section::Holds => {
                let holds = bookings.list_holds(tenant, accounts, page).await?;
                Ok(holds.map(|hold: Hold| PersonalRecord::Hold(hold.as_customer_sees())))
            }
            Section::Payments => {
                let payments = &self.0.modules.payments;
                let list = payments.list_of_customer(tenant, accounts, page).await?;
                Ok(list.map(|payment| PersonalRecord::Payment(Box::new(payment))))
            }
            Section::WaitlistPlaces => {
                let places = bookings.list_places(tenant, user, page).await?;
                Ok(places.map(PersonalRecord::WaitlistPlace))
            }
            Section::Deliveries => {
                let notifications = &self.0.modules.notifications;
                let mails = notifications.deliveries_of_customer(tenant, user, page);
                Ok(mails.await?.map(PersonalRecord::Delivery))
            }
        }
    }

    /// A page of the mails to one of a user's accounts, and where the mails to the next one begin.
    async fn delivery_records(
        &self,
        tenant: &TenantId,
        accounts: &[UserId],
        at: &Position,
        limit: u32,
    ) -> Result<(Page<PersonalRecord>, Option<Position>)> {
        let index = match at.account {
            None => Some(0),
            Some(account) => accounts.iter().position(|one| *one == account),
        };
        let left = index.and_then(|index| accounts.get(index..));
        let left = left.ok_or_else(PageRequest::not_a_cursor)?;
        let request = at.request(limit);
        let page = self.records_of(tenant, left, at.section, &request).await?;
        let after = left.get(1).map(|account| Position {
            account: Some(*account),
            ..Position::first_of(at.section)
        });
        Ok((page, after))
    }

    /// The account, those of its address that were sold to, and what has no pages: some thousand records at most.
    async fn account_records(
        &self,
        tenant: &TenantId,
        accounts: &[UserId],
        user: UserId,
    ) -> Result<Vec<PersonalRecord>> {
        let modules = &self.0.modules;
        let mut records = Vec::new();
        for account in accounts {
            let found = modules.users.find(tenant, *account).await?;
            records.extend(found.map(PersonalRecord::Account));
        }
        let identities = modules.users.identities(tenant, user).await?;
        records.extend(identities.into_iter().map(PersonalRecord::Identity));
        let owner = SessionOwner::User {
            tenant: tenant.clone(),
            user,
        };
        let sessions = modules.sessions.list(&owner).await?;
        records.extend(sessions.into_iter().map(PersonalRecord::Session));
        let teams = modules.events.teams_of(tenant, user).await?;
        records.extend(teams.into_iter().map(PersonalRecord::Team));
        let kinds = modules.subscriptions.list_of_customer(tenant, user).await?;
        records.extend(kinds.into_iter().map(PersonalRecord::Unsubscribed));
        Ok(records)
    }

    async fn booking_records(
        &self,
        tenant: &TenantId,
        accounts: &[UserId],
        page: &PageRequest,
    ) -> Result<Page<PersonalRecord>> {
        let list = self.0.bookings_of_accounts(tenant, accounts, page).await?;
        let mut records = Vec::with_capacity(list.items.len());
        for booking in list.items {
            let check_ins = match booking.checked_in.is_empty() {
                true => Vec::new(),
                false => {
                    let check_ins = &self.0.modules.check_ins;
                    check_ins.list_of_booking(tenant, booking.id).await?
                }
            };
            let receipts = &self.0.modules.receipts;
            let receipts = receipts.of_booking(tenant, &booking).await?.into_iter();
            let receipts = receipts.map(|receipt| PersonalRecord::Receipt(Box::new(receipt)));
            records.push(PersonalRecord::Booking(
                booking.as_customer_sees(),
                check_ins,
            ));
            records.extend(receipts);
        }
        Ok(Page {
            items: records,
            next: list.next,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_read_as_they_are_written() {
        let account = "01hzy0000000000000000000ab".parse().unwrap();
        for position in [
            Position::first_of(Section::WaitlistPlaces),
            Position {
                section: Section::Deliveries,
                account: Some(account),
                cursor: Some("a/b.c".to_owned()),
            },
        ] {
            let read: Position = position.to_string().parse().unwrap();
            assert_eq!(read, position);
        }
        for text in ["", "1", "1/", "x//", "1/x/", "7//"] {
            assert!(text.parse::<Position>().is_err(), "{text:?}");
        }
    }
}
