//! The pages of the links to tickets: for everybody who has such a link, without signing in. A page to show or print, the event for
//! calendars, and the QR codes as files.
//!
//! Called by the URL table. A link proves who follows it, and a page shows what that person has at the time. Whoever has the link has the
//! tickets, so nothing is cached, indexed or told to other hosts. All text is escaped, and nothing is loaded but the style sheet. Calls
//! the engine's bookings.

use std::{fmt::Write as _, str::FromStr};

use axum::{
    extract::{RawQuery, State},
    http::{
        HeaderName, HeaderValue, StatusCode,
        header::{CACHE_CONTROL, CONTENT_DISPOSITION},
    },
    response::{IntoResponse as _, Response},
};
use boxoffice_engine::{
    Caller, Engine, Error, ErrorCode, OwnTicket, OwnTickets, OwnTicketsState, PageRequest, Result,
    TicketId, TicketStatus, UserRole, qr_code_png, qr_code_svg,
};

use super::{
    extract::{Id, Ids, NamedTenant},
    html::{self, escaped},
    problem::Problem,
    unsubscribe::Token,
};
use crate::auth::{MailLinks, TicketsLink};

/// The policy of the page, which sends nothing and runs nothing.
const PAGE_POLICY: &str = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";
const X_ROBOTS_TAG: HeaderName = HeaderName::from_static("x-robots-tag");

/// Tickets on one page. Anchor: 4 KB each, so 200 KB; few bookings are larger, and those have more pages.
const PAGE_TICKETS: u32 = 50;

/// The page.
pub(super) async fn show(
    State(engine): State<Engine>,
    State(links): State<Option<MailLinks>>,
    named: NamedTenant,
    Id(Token(token)): Id<Token>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let after = after_of(query.as_deref().unwrap_or_default());
    let read = async {
        let link = read(&engine, links.as_ref(), &named, &token).await?;
        tickets(&engine, &link, after, PAGE_TICKETS).await
    };
    let response = match read.await {
        Ok(own) => page(&own, &token, after > 0),
        Err(error) if error.code() == ErrorCode::NotFound => {
            let page = html::page("Tickets", STYLE, PAGE_POLICY, NOT_FOUND);
            (StatusCode::NOT_FOUND, page).into_response()
        }
        Err(error) => return Err(error.into()),
    };
    Ok(private(response))
}

/// A file of the page.
pub(super) async fn file(
    State(engine): State<Engine>,
    State(links): State<Option<MailLinks>>,
    named: NamedTenant,
    Ids(Token(token), file): Ids<Token, File>,
) -> Result<Response, Problem> {
    let link = read(&engine, links.as_ref(), &named, &token).await?;
    let response = match file {
        File::Calendar => {
            let bookings = engine.bookings();
            let calendar = bookings.own_calendar(&caller(&link), link.booking).await?;
            let content_type = match calendar.method {
                "CANCEL" => "text/calendar; charset=utf-8; method=CANCEL",
                _ => "text/calendar; charset=utf-8; method=PUBLISH",
            };
            let mut response = html::content(content_type, html::FILE_POLICY, calendar.text);
            let name = HeaderValue::from_static("attachment; filename=\"event.ics\"");
            response.headers_mut().insert(CONTENT_DISPOSITION, name);
            response
        }
        File::Svg(number) => {
            let picture = qr_code_svg(&code(&engine, &link, number).await?)?;
            html::content("image/svg+xml", html::FILE_POLICY, picture)
        }
        File::Png(number) => {
            let picture = qr_code_png(&code(&engine, &link, number).await?)?;
            html::content("image/png", html::FILE_POLICY, picture)
        }
    };
    Ok(private(response))
}

/// A file of the page, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum File {
    /// `event.ics`.
    Calendar,
    /// The QR code of the ticket of a number: `2.svg`.
    Svg(u32),
    /// The same as `2.png`.
    Png(u32),
}

impl FromStr for File {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        if name == "event.ics" {
            return Ok(Self::Calendar);
        }
        let number = |text: &str| {
            let number = text.parse().ok().filter(|number| *number > 0);
            // One file has one name: no leading zeros and no sign.
            number.filter(|number: &u32| number.to_string() == text)
        };
        let file = match name.split_once('.') {
            Some((text, "svg")) => number(text).map(Self::Svg),
            Some((text, "png")) => number(text).map(Self::Png),
            _ => None,
        };
        file.ok_or_else(no_ticket)
    }
}

/// The link of a token. A link of a tenant is good for nothing at the address of another one.
async fn read(
    engine: &Engine,
    links: Option<&MailLinks>,
    NamedTenant(named): &NamedTenant,
    token: &str,
) -> Result<TicketsLink> {
    let link = links.and_then(|links| links.read_tickets(token));
    let link = link.ok_or_else(no_ticket)?;
    if let Some(named) = named.as_ref().filter(|named| **named != link.tenant) {
        // The host's own name may look like a tenant's.
        let other = Caller::anonymous(named.clone());
        match engine.tenants().show(&other).await {
            Ok(_) => return Err(no_ticket()),
            Err(error) if error.code() == ErrorCode::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(link)
}

/// The person of the link, proven by its signature.
fn caller(link: &TicketsLink) -> Caller {
    Caller::user(link.tenant.clone(), link.owner, UserRole::Customer)
}

/// Up to `limit` of the person's tickets after the one of a number; 0 for the first ones.
async fn tickets(
    engine: &Engine,
    link: &TicketsLink,
    after: u32,
    limit: u32,
) -> Result<OwnTickets> {
    let after = (after > 0).then_some(TicketId {
        booking: link.booking,
        number: after,
    });
    let page = PageRequest {
        cursor: after.map(|after| after.to_string()),
        limit,
    };
    let bookings = engine.bookings();
    bookings
        .own_tickets(&caller(link), link.booking, page)
        .await
}

/// The code of one of the person's tickets.
async fn code(engine: &Engine, link: &TicketsLink, number: u32) -> Result<String> {
    let own = tickets(engine, link, number - 1, 1).await?;
    let mut tickets = own.tickets.items.into_iter();
    let found = tickets.find(|one| one.ticket.id.number == number);
    found.and_then(|one| one.ticket.code).ok_or_else(no_ticket)
}

/// The number of the ticket after which a page begins. Whatever else a query says is none of ours.
fn after_of(query: &str) -> u32 {
    let mut fields = form_urlencoded::parse(query.as_bytes());
    let after = fields.find(|(name, _)| name == "after");
    after
        .and_then(|(_, number)| number.parse().ok())
        .unwrap_or_default()
}

fn no_ticket() -> Error {
    Error::new(
        ErrorCode::NotFound,
        "This link is incomplete or no longer valid, or the ticket is not there any more.",
    )
}

/// Whoever sees the response has the tickets: nobody keeps it, and no search engine lists it.
fn private(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    headers.insert(X_ROBOTS_TAG, HeaderValue::from_static("noindex"));
    response
}

const STYLE: &str = "../docs/tickets.css";

const NOT_FOUND: &str = "<h1>No tickets here</h1>\n<p>This link is incomplete or no longer valid. Open it again from the mail, \
    and take care that all of it is copied. If that does not help, sign in where you booked, or ask who sold you the tickets.</p>";

/// The page: the event first, then the tickets. `has_before` says that there are tickets before the first one.
fn page(own: &OwnTickets, token: &str, has_before: bool) -> Response {
    let token = escaped(token);
    let mut main = head(own);
    main.push_str(&notice(own));
    for ticket in &own.tickets.items {
        main.push_str(&section(own, ticket, &token));
    }
    main.push_str(&other_tickets(own, &token, has_before));
    let to_do = match own.state {
        OwnTicketsState::Valid => "Add the event to your calendar",
        _ => "Take the event out of your calendar",
    };
    let _ = write!(
        main,
        "<p class=\"screen\"><a href=\"{token}/event.ics\">{to_do}</a></p>"
    );
    // In isolates: a right-to-left title must not reorder what the browser puts around it (UAX #9).
    let title = format!("Tickets: \u{2068}{}\u{2069}", own.event.title);
    html::page(&title, STYLE, PAGE_POLICY, &main)
}

/// The event, and whose it is.
fn head(own: &OwnTickets) -> String {
    let mut text = format!(
        "<header>\n<p class=\"from\"><bdi>{}</bdi></p>\n<h1><bdi>{}</bdi></h1>\n<p>Begins: <strong>{}</strong></p>\n",
        escaped(own.tenant_name.as_str()),
        escaped(own.event.title.as_str()),
        escaped(&own.starts_at_local)
    );
    // Writing to a String cannot fail, here and below.
    if let Some(ends_at) = &own.ends_at_local {
        let _ = writeln!(text, "<p>Ends: {}</p>", escaped(ends_at));
    }
    if let Some(location) = &own.event.location {
        let location = escaped(location.as_str());
        let _ = writeln!(text, "<p>Place: <bdi>{location}</bdi></p>");
    }
    text.push_str("</header>\n");
    text
}

/// What to do with the tickets, or why there are none.
fn notice(own: &OwnTickets) -> String {
    let said = match own.state {
        OwnTicketsState::Valid => {
            return "<p class=\"screen\">Show a code at the door for each of you, on paper or on a screen. Each lets one person in, \
                once. Whoever has the address of this page has the tickets: keep it to yourselves.</p>\n"
                .to_owned();
        }
        OwnTicketsState::NoneLeft => {
            "<strong>You have no tickets of this booking any more.</strong> They were cancelled or given to somebody else.".to_owned()
        }
        OwnTicketsState::BookingCancelled => format!(
            "<strong>This booking was cancelled.</strong> Its tickets let nobody in. Booking number: {}",
            own.booking_number
        ),
        OwnTicketsState::EventCancelled => {
            "<strong>This event was cancelled</strong> and will not take place. Tickets for it let nobody in.".to_owned()
        }
    };
    format!("<p class=\"notice\">{said}</p>\n")
}

/// A ticket, with the event for who gets it on paper alone.
fn section(own: &OwnTickets, one: &OwnTicket, token: &str) -> String {
    let number = one.ticket.id.number;
    let code = one.ticket.code.as_deref();
    let picture = code.and_then(|code| qr_code_svg(code).ok());
    let mut text = String::from("<section>\n");
    if let Some(picture) = &picture {
        let _ = writeln!(
            text,
            "<div class=\"code\" role=\"img\" aria-label=\"QR code of ticket {number}\">{picture}</div>"
        );
    }
    let _ = write!(
        text,
        "<div class=\"facts\">\n<h2><bdi>{}</bdi>, ticket {number}</h2>\n",
        escaped(&one.type_name)
    );
    if let Some(attendee) = &one.attendee {
        let attendee = escaped(attendee.as_str());
        let _ = writeln!(text, "<p class=\"attendee\"><bdi>{attendee}</bdi></p>");
    }
    if one.ticket.status == TicketStatus::CheckedIn {
        text.push_str("<p><strong class=\"used\">Used</strong> This ticket was checked in.</p>\n");
    }
    let _ = writeln!(
        text,
        "<p class=\"paper\"><bdi>{}</bdi><br>{}</p>\n<p>Booking number: <strong>{}</strong></p>",
        escaped(own.event.title.as_str()),
        escaped(&own.starts_at_local),
        own.booking_number
    );
    match code {
        Some(code) => {
            let _ = writeln!(text, "<p><code>{}</code></p>", escaped(code));
        }
        None => text.push_str("<p>Say the booking number at the door.</p>\n"),
    }
    if picture.is_some() {
        let _ = writeln!(
            text,
            "<p class=\"screen\"><a href=\"{token}/{number}.png\" download=\"ticket-{number}.png\">Save the code as a picture</a></p>"
        );
    }
    text.push_str("</div>\n</section>\n");
    text
}

/// Where the other tickets of a large booking are; nothing if there are none.
fn other_tickets(own: &OwnTickets, token: &str, has_before: bool) -> String {
    if !has_before && own.tickets.next.is_none() {
        return String::new();
    }
    let (shown, all) = (own.tickets.items.len(), own.num_tickets);
    let mut text = format!(
        "<nav class=\"screen\">\n<p>{shown} of your {all} tickets are on this page.</p>\n<p>"
    );
    if has_before {
        let _ = write!(text, "<a href=\"{token}\">First tickets</a> ");
    }
    let last = own.tickets.items.last();
    if let (Some(last), true) = (last, own.tickets.next.is_some()) {
        let after = last.ticket.id.number;
        let _ = write!(text, "<a href=\"{token}?after={after}\">Next tickets</a>");
    }
    text.push_str("</p>\n</nav>\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_have_one_name() {
        let read = |name: &str| name.parse::<File>().ok();
        assert_eq!(read("event.ics"), Some(File::Calendar));
        assert_eq!(read("1.svg"), Some(File::Svg(1)));
        assert_eq!(read("10000.png"), Some(File::Png(10_000)));
        for bad in [
            "",
            "1",
            ".svg",
            "0.svg",
            "01.svg",
            "+1.svg",
            "-1.png",
            "1.svg.png",
            "1.gif",
            "4294967296.png",
            "Event.ics",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_page_begins_after_a_number_and_ignores_the_rest() {
        for (query, after) in [
            ("", 0),
            ("after=50", 50),
            ("utm_source=mail&after=7", 7),
            ("after=x", 0),
            ("after=-1", 0),
            ("after=99999999999", 0),
        ] {
            assert_eq!(after_of(query), after, "{query}");
        }
    }
}
