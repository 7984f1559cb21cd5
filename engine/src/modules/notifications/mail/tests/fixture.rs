//! What the tests of mails compose: one event, one customer, one booking.

use jiff::Timestamp;
use serde_json::Value;
use ulid::Ulid;

use crate::{
    modules::notifications::mail::{
        ComposedMail, compose,
        context::{MailContext, MailLogo, MailTicket},
        mail_sample,
    },
    types::{
        Announcement, AnswerValue, Answers, Booking, BookingDetails, BookingId, BookingLine,
        BookingNumber, BookingReceipt, Brand, BrandColor, CancelCause, Cancellation,
        CancellationTerms, EmailAddress, Event, EventDetails, EventId, EventStatus, Hold, HoldId,
        HoldStatus, HttpsUrl, Label, LastChange, LinkTarget, LinkTemplate, LogoFacts, Metadata,
        NotificationId, NotificationKind, PluginHash, PluginName, PluginQuarantine, Prose,
        ReceiptId, ReceiptIssuer, ReceiptLine, ReceiptNumber, ReceiptRecipient, ReceiptTax,
        Reminder, Tenant, TenantId, TenantLinks, TenantSettings, TicketTransfer, TicketType,
        TicketTypeId, User, UserId, UserRole,
    },
};

/// Owns what a [`MailContext`] borrows.
pub(super) struct Fixture {
    pub(super) kind: NotificationKind,
    pub(super) tenant: Tenant,
    pub(super) event: Event,
    pub(super) previous: Option<EventDetails>,
    pub(super) announcement: Option<Announcement>,
    pub(super) quarantine: Option<PluginQuarantine>,
    pub(super) unsubscribe_url: Option<String>,
    pub(super) link_url: Option<String>,
    pub(super) recipient: User,
    pub(super) bookings: Vec<Booking>,
    pub(super) tickets_urls: Vec<(BookingId, String)>,
    pub(super) offer: Option<Hold>,
    pub(super) summary: Option<Value>,
    pub(super) keeps_entry: bool,
    pub(super) tickets: Vec<MailTicket>,
    pub(super) mail_from: EmailAddress,
    pub(super) logo: Option<MailLogo>,
    pub(super) receipt: Option<BookingReceipt>,
}

impl Fixture {
    pub(super) fn new(kind: NotificationKind) -> Self {
        let event = event();
        let previous = (kind == NotificationKind::EventUpdated).then(|| EventDetails {
            location: Some(label("Old Hall")),
            ends_at: None,
            ..event.details.clone()
        });
        Self {
            kind,
            tenant: tenant(),
            previous,
            announcement: (kind == NotificationKind::EventAnnouncement).then(|| Announcement {
                subject: label("Doors open early"),
                message: Prose::parse("message", "We open at six.\r\n\r\nSee you!").unwrap(),
            }),
            quarantine: (kind == NotificationKind::PluginQuarantined).then(quarantine),
            unsubscribe_url: None,
            link_url: match kind {
                NotificationKind::EmailVerification
                | NotificationKind::PasswordReset
                | NotificationKind::EmailChange
                | NotificationKind::Invitation => {
                    Some("https://tickets.example/verify/a<b".to_owned())
                }
                _ => None,
            },
            recipient: User {
                id: customer(),
                tenant: TenantId::parse("north").unwrap(),
                email: address("ann@example.org"),
                email_verified: !matches!(
                    kind,
                    NotificationKind::EmailVerification
                        | NotificationKind::EmailChange
                        | NotificationKind::Invitation
                ),
                name: label("Ann Example"),
                role: UserRole::Customer,
                external_id: None,
                metadata: Metadata::parse(
                    "metadata",
                    [("level".to_owned(), "gold".to_owned())].into(),
                )
                .unwrap(),
                is_suspended: false,
                erased_at: None,
                created_at: Timestamp::UNIX_EPOCH,
            },
            bookings: match kind {
                NotificationKind::WaitingListOffer
                | NotificationKind::PluginQuarantined
                | NotificationKind::EmailVerification
                | NotificationKind::SignUpNotice
                | NotificationKind::PasswordReset
                | NotificationKind::EmailChange
                | NotificationKind::EmailChanged
                | NotificationKind::Invitation
                | NotificationKind::ApiKeyCreated
                | NotificationKind::IdentityLinked
                | NotificationKind::BookingSummary => Vec::new(),
                NotificationKind::TicketVoided => vec![given_away(booking(&event, 7))],
                _ => vec![booking(&event, 7)],
            },
            tickets_urls: Vec::new(),
            offer: (kind == NotificationKind::WaitingListOffer).then(|| offer(&event)),
            summary: (kind == NotificationKind::BookingSummary)
                .then(|| mail_sample(kind)["summary"].clone()),
            keeps_entry: false,
            tickets: match kind {
                NotificationKind::BookingConfirmed | NotificationKind::TicketReceived => {
                    vec![ticket(1), ticket(2)]
                }
                _ => Vec::new(),
            },
            logo: None,
            receipt: (kind == NotificationKind::Receipt).then(|| receipt(&event)),
            event,
            mail_from: address("tickets@boxoffice.example"),
        }
    }

    /// The same of a tenant with a look and pages of its own.
    pub(super) fn dressed(mut self) -> Self {
        let settings = &mut self.tenant.settings;
        settings.brand = Brand {
            color: BrandColor::read("#ffcc00"),
            logo_url: HttpsUrl::parse("f", "https://north.example/logo.png?a=1&b=2").ok(),
            footer: Brand::parse_footer(
                "North Stage Ltd, 1 Main Street\nקונצרט <b>&</b> {{ tenant }}",
            )
            .unwrap(),
        };
        let link = |target, text| LinkTemplate::parse(target, text).ok();
        settings.links = TenantLinks {
            booking: link(
                LinkTarget::Booking,
                "https://north.example/b/{bookingReference}?n={bookingNumber}&e={eventId}",
            ),
            offer: link(LinkTarget::Offer, "https://north.example/take/{holdId}"),
            event: link(
                LinkTarget::Event,
                "https://north.example/e/{eventReference}",
            ),
        };
        self.with_logo(480, 120)
    }

    pub(super) fn with_logo(mut self, width: u32, height: u32) -> Self {
        let sha256 = String::new();
        let facts = LogoFacts {
            sha256,
            width,
            height,
        };
        self.logo = MailLogo::new(&logo(width, height), &facts).ok();
        self
    }

    pub(super) fn context(&self) -> MailContext<'_> {
        MailContext {
            kind: self.kind,
            notification: notification(),
            tenant: &self.tenant,
            event: self.kind.has_templates().then_some(&self.event),
            previous: self.previous.as_ref(),
            announcement: self.announcement.as_ref(),
            quarantine: self.quarantine.as_ref(),
            unsubscribe_url: self.unsubscribe_url.as_deref(),
            link_url: self.link_url.as_deref(),
            recipient: &self.recipient,
            bookings: &self.bookings,
            tickets_urls: &self.tickets_urls,
            offer: self.offer.as_ref(),
            summary: self.summary.as_ref(),
            keeps_entry: self.keeps_entry,
            logo: self.logo.as_ref(),
            receipt: self.receipt.as_ref(),
            tickets: &self.tickets,
            mail_from: &self.mail_from,
            delivery_key: "key.1-a_b",
            now: time("2026-05-01T08:00:00Z"),
        }
    }

    pub(super) async fn compose(&self) -> ComposedMail {
        compose(None, &self.context()).await.unwrap()
    }
}

fn tenant() -> Tenant {
    Tenant {
        id: TenantId::parse("north").unwrap(),
        name: label("North Stage"),
        currency: "EUR".to_owned(),
        version: 1,
        mail_from: None,
        settings: TenantSettings {
            reply_to: Some(address("help@north.example")),
            ..TenantSettings::default()
        },
        logo: None,
        receipts_since: None,
        created_at: Timestamp::UNIX_EPOCH,
    }
}

fn quarantine() -> PluginQuarantine {
    PluginQuarantine {
        plugin: PluginName::stored("members-only".to_owned()),
        version: PluginHash::of(b"bytes"),
        reason: "it trapped: <unreachable>".to_owned(),
        export: crate::types::PluginExport::ValidateBooking,
        at: Timestamp::UNIX_EPOCH,
        next_try_at: Timestamp::UNIX_EPOCH,
    }
}

pub(super) fn label(text: &str) -> Label {
    Label::parse("label", text).unwrap()
}

pub(super) fn address(text: &str) -> EmailAddress {
    EmailAddress::parse("email", text).unwrap()
}

pub(super) fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn notification() -> NotificationId {
    NotificationId::from_ulid(Ulid::from_parts(1, 9))
}

/// What the mail tells of: so many tickets of a booking are cancelled.
pub(super) fn cancellation(quantity: u32) -> Cancellation {
    Cancellation {
        notification: notification(),
        cause: CancelCause::Customer,
        at: Timestamp::UNIX_EPOCH,
        lines: vec![BookingLine {
            ticket_type: TicketTypeId::new("t1"),
            quantity,
            unit_price_minor: 1_250,
        }],
        // The last ones, of two.
        numbers: (3 - quantity..=2).collect(),
        refund_percent: 50,
        refund_minor: u64::from(quantity) * 625,
    }
}

fn customer() -> UserId {
    UserId::from_ulid(Ulid::from_parts(1, 2))
}

fn event() -> Event {
    Event {
        id: EventId::from_ulid(Ulid::from_parts(1, 1)),
        organizer: None,
        version: 3,
        details: EventDetails {
            title: label("Jazz Night"),
            description: Prose::parse("description", "Doors at seven;\r\nbring friends, please")
                .unwrap(),
            starts_at: time("2026-06-05T17:30:00Z"),
            ends_at: Some(time("2026-06-05T20:00:00Z")),
            time_zone: "Europe/Berlin".to_owned(),
            location: Some(label("New Hall, Main Street 1")),
            reminder: Reminder::AsTenant,
            reference: Some("gig-1".parse().unwrap()),
            metadata: Metadata::parse("metadata", [("hall".to_owned(), "2".to_owned())].into())
                .unwrap(),
            questions: Vec::new(),
            attendees_until: None,
        },
        status: EventStatus::Published,
        total_tickets: 100,
        tickets_sold: 2,
        tickets_held: 0,
        waiting: 0,
        ticket_types: vec![TicketType {
            id: TicketTypeId::new("t1"),
            name: label("Balcony"),
            capacity: 100,
            sold: 2,
            held: 0,
            price_minor: 1_250,
            sales_open_at: None,
            sales_close_at: None,
            min_per_booking: 1,
            max_per_booking: 10,
            tax_basis_points: None,
            ever_taken: true,
            metadata: Default::default(),
        }],
        cancellation_terms: CancellationTerms::default(),
        max_tickets_per_customer: None,
        currency: "EUR".to_owned(),
        reminder: None,
        created_at: Timestamp::UNIX_EPOCH,
        updated_at: Timestamp::UNIX_EPOCH,
    }
}

fn offer(event: &Event) -> Hold {
    let booking = booking(event, 8);
    Hold {
        id: HoldId::of_path(booking.id),
        event: event.id,
        customer: booking.customer,
        status: HoldStatus::Held,
        lines: booking.lines,
        total_minor: booking.total_minor,
        messages: Vec::new(),
        currency: booking.currency,
        event_version: 3,
        created_at: Timestamp::UNIX_EPOCH,
        expires_at: time("2026-05-01T20:00:00Z"),
        extended: false,
        waitlist_number: Some(4),
        ended_at: None,
        sale: None,
        details: None,
        claims: Vec::new(),
        last_change: LastChange::default(),
    }
}

/// A picture with a bar of a dark colour on a transparent ground.
fn logo(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Rgba);
    encoder.set_depth(png::BitDepth::Eight);
    let rows = (0..height).flat_map(|y| {
        let is_dark = (height / 4..height * 3 / 4).contains(&y);
        (0..width).flat_map(move |_| match is_dark {
            true => [0x7a, 0x1f, 0x3d, 0xff],
            false => [0; 4],
        })
    });
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(&rows.collect::<Vec<u8>>()).unwrap();
    writer.finish().unwrap();
    bytes
}

fn receipt(event: &Event) -> BookingReceipt {
    let booking = booking(event, 7);
    let line = booking.lines[0].clone();
    BookingReceipt {
        id: ReceiptId::of(booking.id),
        number: Some(ReceiptNumber {
            text: "R-2026-000123".to_owned(),
            year: 2026,
            issued_on: "2026-05-01".to_owned(),
            issued_at: time("2026-05-01T08:00:00Z"),
            series: String::new(),
            sequence: 123,
        }),
        corrects: None,
        booking_number: booking.number,
        booked_at: booking.created_at,
        cancelled_at: None,
        event_title: event.details.title.clone(),
        recipient: Some(ReceiptRecipient {
            name: label("Ann <3 Example"),
            email: address("ann@example.org"),
        }),
        issuer: ReceiptIssuer {
            name: label("North Stage <Ltd>"),
            address: vec![label("1 Main Street")],
            tax_id: Some(label("DE 123")),
            tax_name: label("VAT"),
        },
        currency: "EUR".to_owned(),
        lines: vec![ReceiptLine {
            ticket_type: line.ticket_type,
            name: label("Balcony"),
            quantity: 2,
            unit_price_minor: 1_250,
            total_minor: 2_500,
            tax_basis_points: Some(1_900),
        }],
        total_minor: 2_500,
        taxes: vec![ReceiptTax {
            basis_points: 1_900,
            gross_minor: 2_500,
            tax_minor: 399,
        }],
        names_until: 2036,
        notification: Some(notification()),
    }
}

fn ticket(number: u32) -> MailTicket {
    MailTicket {
        number,
        name: "Balcony".to_owned(),
        attendee: (number == 1).then(|| label("Ann <3 Example")),
        code: format!("CODE.{number}.abc-_"),
    }
}

pub(super) fn booking(event: &Event, serial: u128) -> Booking {
    let id = BookingId::new(event.id, customer(), Ulid::from_parts(2, serial));
    let lines = vec![BookingLine {
        ticket_type: TicketTypeId::new("t1"),
        quantity: 2,
        unit_price_minor: 1_250,
    }];
    let number = BookingNumber::stored(serial as i64);
    let sold_as = ("EUR".to_owned(), 3);
    Booking {
        messages: vec!["Early bird: 20 % off <until Friday>".to_owned()],
        details: Some(Box::new(details())),
        ..Booking::new((id, number), lines, sold_as, Timestamp::UNIX_EPOCH)
    }
}

/// A booking whose tickets were given to somebody else.
fn given_away(booking: Booking) -> Booking {
    let transfer = |number: u32| TicketTransfer {
        number,
        issue: 1,
        former: vec![booking.customer],
        to: UserId::from_ulid(Ulid::from_parts(1, 99)),
        at: Timestamp::UNIX_EPOCH,
        event_version: 3,
    };
    Booking {
        transfers: vec![transfer(1), transfer(2)],
        ..booking
    }
}

fn details() -> BookingDetails {
    let metadata = [("cart".to_owned(), "17 <b>".to_owned())];
    let meal = AnswerValue::Text("Plants & <nothing>".to_owned());
    BookingDetails {
        reference: Some("order-1".parse().unwrap()),
        metadata: Metadata::parse("metadata", metadata.into()).unwrap(),
        answers: Answers::new([("meal".parse().unwrap(), meal)].into()),
        ..BookingDetails::default()
    }
}
