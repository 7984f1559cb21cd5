//! Sales to somebody else: who may sell tickets of an event, and to whom.
//!
//! Called by the use cases of bookings and holds. Calls the events and users modules.

use crate::{
    context::EngineContext,
    error::{Error, Result},
    types::{Caller, EventId, Role, Sale, SalesChannel, Scope, SellTo, Seller, SoldTo, UserId},
};

/// Who gets the tickets of a request.
pub(super) struct Buyer {
    pub(super) customer: UserId,
    /// What is kept of a sale to somebody else; `None` if the customer asks.
    pub(super) sale: Option<Box<Sale>>,
}

impl EngineContext {
    /// Who gets the tickets of an event: the acting user, or the customer that the caller sells to. The event's organizer, the
    /// tenant's owners, staff and programs sell. A guest may be made.
    ///
    /// # Errors
    /// `not-authenticated`, `forbidden`, `not-found` for an event that the caller may not see, `field-invalid` at `customer`,
    /// `email-unconfirmed` for a seller whose own address is not confirmed.
    pub(super) async fn buyer(
        &self,
        caller: &Caller,
        scope: Scope,
        (event, sell_to): (EventId, Option<&SellTo>),
    ) -> Result<Buyer> {
        let caller = &caller.scoped(scope)?;
        let Some(sell_to) = sell_to else {
            if caller.api_key_id().is_some() {
                let rule = "A program sells to somebody: name the customer.";
                return Err(Error::field("customer", rule));
            }
            return Ok(Buyer {
                customer: caller.acting_user()?,
                sale: None,
            });
        };
        caller.require_signed_in()?;
        let found = self.visible_event(caller, event).await?;
        self.require_manager_or_staff(caller, event, found.organizer)
            .await?;
        let seller = match (caller.user_id(), caller.api_key_id()) {
            (Some(user), _) => Seller::User(user),
            (None, Some(key)) => Seller::ApiKey(key),
            (None, None) => Seller::Platform,
        };
        if matches!(seller, Seller::User(_)) {
            // Everybody may become an organizer where the tenant allows that, and a sale sends a mail to any address.
            self.require_confirmed(caller, "sell tickets to others")
                .await?;
        }
        let by_platform_id = matches!(sell_to.customer, SoldTo::ExternalId(_));
        if by_platform_id && caller.role() == Role::Organizer {
            // A platform's ids may be numbers in a row: nobody shall walk through all customers.
            return Err(Error::forbidden(
                "Only the tenant's owners, staff and programs name customers by the platform's id.",
            ));
        }
        let users = &self.modules.users;
        let customer = users.customer_of_sale(caller.tenant()?, &sell_to.customer);
        Ok(Buyer {
            customer: customer.await?,
            sale: Some(Box::new(Sale {
                channel: SalesChannel::Sold,
                seller: Some(seller),
                complimentary: sell_to.complimentary.clone(),
            })),
        })
    }

    /// Returns whether a customer is the acting user, or a guest that their account took over. Reads nothing for the user.
    pub(in crate::app_modules) async fn is_own(
        &self,
        caller: &Caller,
        customer: UserId,
    ) -> Result<bool> {
        let Some(user) = caller
            .user_id()
            .filter(|_| caller.role() != Role::Anonymous)
        else {
            return Ok(false);
        };
        if user == customer {
            return Ok(true);
        }
        Ok(self.own_accounts(caller).await?.contains(&customer))
    }

    /// The acting user's account, and the guests that it took over; none for a program.
    pub(in crate::app_modules) async fn own_accounts(
        &self,
        caller: &Caller,
    ) -> Result<Vec<UserId>> {
        match caller.user_id() {
            Some(user) if caller.role() != Role::Anonymous => {
                let users = &self.modules.users;
                users.accounts_of(caller.tenant()?, user).await
            }
            _ => Ok(Vec::new()),
        }
    }
}
