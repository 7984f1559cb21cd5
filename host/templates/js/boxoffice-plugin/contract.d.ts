// Made of boxoffice.wit by `cargo run -p generate` in plugins/: change that file, not this one.

/**
 * Words that the other interfaces share. Money is in minor units (cents) of the event's currency, times are
 * RFC 3339 in UTC, ids are opaque: compare them, never take them apart.
 */
declare module "boxoffice:plugin/types@0.2.0" {
  /** A string that the tenant's programs keep with an object. Boxoffice reads nothing from it. */
  export interface MetadataEntry {
    /** Unique within the object; 1 to 40 characters. */
    key: string;
    /** Up to 500 characters. */
    value: string;
  }
  /** What can be booked at an event. */
  export interface TicketType {
    /** Its id, unique within the event. */
    id: string;
    /** What it is called. */
    name: string;
    /** List price of one ticket. */
    priceMinor: number;
    /** What the tenant's programs keep with it, in order of the keys. */
    metadata: Array<MetadataEntry>;
  }
  /** The event as it is at this moment. */
  export interface Event {
    /** Which event. */
    id: string;
    /** Counts the organizer's changes. */
    version: number;
    /** Its name. */
    title: string;
    /** When it begins. */
    startsAt: string;
    /** When it ends, if that was announced. */
    endsAt: string | null;
    /** Its IANA zone, such as `Europe/Berlin`. */
    timeZone: string;
    /** Its place, if that was announced. */
    location: string | null;
    /** ISO 4217 code of its prices. */
    currency: string;
    /** What can be booked, in the organizer's order. */
    ticketTypes: Array<TicketType>;
    /** The name that the tenant's programs give it. */
    reference: string | null;
    /** What the tenant's programs keep with it, in order of the keys. */
    metadata: Array<MetadataEntry>;
  }
  /** Some tickets of one type. */
  export interface Line {
    /** `ticket-type.id`. */
    ticketType: string;
    /** How many; at least 1. */
    quantity: number;
    /** Price of one ticket: the list price, or what the policy before this one made of it. */
    unitPriceMinor: number;
  }
  /** What is known of the customer. */
  export interface Customer {
    /** The same for the same customer at all events of the tenant; says nothing outside the tenant. */
    pseudonym: string;
    /**
     * Active tickets of this event the customer holds already, without this request. Exact: the booking is only
     * made if it still is so.
     */
    ticketsInEvent: number;
    /** E-mail address, only if the tenant's owner allowed it for this plugin. */
    email: string | null;
    /** Name, only if the tenant's owner allowed it for this plugin. */
    name: string | null;
  }
  /** The value of an answer, by the kind of its question. */
  export type AnswerValue =
    /** Up to 1,000 characters, which may have several lines. */
    | { tag: "text"; val: string }
    /** A number, never infinite or NaN. */
    | { tag: "number"; val: number }
    /** One of the question's choices. */
    | { tag: "choice"; val: string }
    /** Some of the question's choices. */
    | { tag: "choices"; val: Array<string> }
    /** Yes or no. */
    | { tag: "yes-no"; val: boolean }
    /** A day, such as `2026-11-30`. */
    | { tag: "date"; val: string };
  /** An answer to a question that the event asks. Questions that were not answered are left out. */
  export interface Answer {
    /** The question's id, unique within the event. */
    question: string;
    /** What was answered. */
    value: AnswerValue;
  }
  /** The person who is to have a ticket. */
  export interface Attendee {
    /** The ticket's number in the booking, from 1. Numbers follow the lines. */
    ticket: number;
    /** `ticket-type.id` of the ticket. */
    ticketType: string;
    /** The answers to the questions that are asked per ticket, in order of the questions' ids. */
    answers: Array<Answer>;
    /** E-mail address, only if the tenant's owner allowed it for this plugin. */
    email: string | null;
    /** Name, only if the tenant's owner allowed it for this plugin. */
    name: string | null;
  }
  /** What a booking carries beside its tickets. */
  export interface BookingDetails {
    /** The name that the tenant's programs give the booking. */
    reference: string | null;
    /** What the tenant's programs keep with the booking, in order of the keys. */
    metadata: Array<MetadataEntry>;
    /**
     * What the customer typed for policies to judge: up to 10 lines of up to 64 characters, without spaces around
     * them.
     */
    codes: Array<string>;
    /** The answers to the questions that are asked once per booking, in order of the questions' ids. */
    answers: Array<Answer>;
    /** Who is to have which ticket, in order of the tickets. Tickets for which no person was given are left out. */
    attendees: Array<Attendee>;
  }
  /** What kind of seller it is. */
  export type SellerKind = "user" | "api-key" | "platform";
  /** Who makes a booking for a customer. */
  export interface Seller {
    /** What kind of seller it is. */
    kind: SellerKind;
    /**
     * Of a user a pseudonym, which is made as those of customers are; of a program the id of its API key; none of a
     * platform.
     */
    id: string | null;
  }
  /** The moment of the call. */
  export interface Moment {
    /** In UTC. */
    utc: string;
    /** The same in the event's zone, with its offset: `2026-11-22T19:30:00+01:00`. */
    local: string;
  }
}

/** The only thing that the host does for a plugin. */
declare module "boxoffice:plugin/host@0.2.0" {
  /** How important a line is. */
  export type LogLevel = "debug" | "info" | "warn" | "error";
  /** Writes a line into the plugin's log, which the tenant reads. 8 KiB a call are kept, the rest is cut. */
  export function log(level: LogLevel, message: string): void;
}

/** Says whether a booking may be made, and at which prices. */
declare module "boxoffice:plugin/booking-policy@0.2.0" {
  export type Event = import("boxoffice:plugin/types@0.2.0").Event;
  export type Line = import("boxoffice:plugin/types@0.2.0").Line;
  export type Customer = import("boxoffice:plugin/types@0.2.0").Customer;
  export type Moment = import("boxoffice:plugin/types@0.2.0").Moment;
  export type BookingDetails = import("boxoffice:plugin/types@0.2.0").BookingDetails;
  export type Seller = import("boxoffice:plugin/types@0.2.0").Seller;
  /** A booking about to be made. */
  export interface BookingRequest {
    event: Event;
    lines: Array<Line>;
    customer: Customer;
    /**
     * How it comes about: `self` if the customer makes it, `sold` if somebody makes it for them. Later hosts may
     * know more channels.
     */
    channel: string;
    /** Who makes it for the customer; none if the customer does. */
    seller: Seller | null;
    /** Codes, answers, attendees, and what the tenant's programs keep with it. */
    details: BookingDetails;
    now: Moment;
  }
  /** A booking about to be cancelled, wholly or in part. */
  export interface CancellationRequest {
    event: Event;
    /** The booking's id. */
    booking: string;
    /** When it was made. */
    bookedAt: string;
    /** What is to be cancelled, at the prices that were booked. */
    lines: Array<Line>;
    /** Who it belongs to; `tickets-in-event` counts the tickets to be cancelled, too. */
    customer: Customer;
    /** What the whole booking carries, without the attendees of tickets that were cancelled before. */
    details: BookingDetails;
    now: Moment;
  }
  /** A no. */
  export interface Rejection {
    /** For programs: 1 to 64 of `a-z`, `0-9` and `-`. */
    code: string;
    /** For the customer: one line of up to 300 characters. */
    reason: string;
  }
  /**
   * What a booking takes of one of the tenant's counters: of the uses of a code, of a member's discounts, of a quota
   * across events. A counter begins with its first claim, and is the same for all plugins and events of the tenant.
   * It is taken when the booking or hold is written, exactly, or the request is refused (`claim-exhausted`). What is
   * cancelled, released or expired is given back. Quotes, dry runs and replays take nothing.
   */
  export interface Claim {
    /** What the counter is called: one line of 1 to 64 characters, such as `code:SPRING`. */
    key: string;
    /** What all bookings together may take. */
    limit: number;
    /** What this booking takes: 1 to 1,000. */
    amount: number;
  }
  /** A yes that changes prices, tells the customer something, or takes of counters. */
  export interface Adjustment {
    /**
     * Price of one ticket for each line of the request, in the same order; 0 to ten times the list price. None
     * leaves the prices as they are.
     */
    unitPricesMinor: Array<number> | null;
    /** What the customer is told about it: up to 10 lines of up to 300 characters. */
    messages: Array<string>;
    /** What the booking takes of the tenant's counters: up to 8 claims. */
    claims: Array<Claim>;
  }
  /**
   * What a policy says about a booking. Policies are asked in the tenant's order: the first no is final, and each
   * sees prices as the one before left them. The claims of all are taken together.
   */
  export type Decision =
    /** Yes, as it is. */
    | { tag: "accept" }
    /** No. */
    | { tag: "reject"; val: Rejection }
    /** Yes, with changes. */
    | { tag: "adjust"; val: Adjustment };
  /** What a policy says about a cancellation. */
  export type CancellationDecision =
    | { tag: "accept" }
    | { tag: "reject"; val: Rejection };
  /** Decides about a booking. `config` is the JSON that the tenant stored for this plugin, `{}` if there is none. */
  export function validateBooking(request: BookingRequest, config: string): Decision;
  /** Decides about a customer's cancellation. Organizers' cancellations are not asked about. */
  export function validateCancellation(request: CancellationRequest, config: string): CancellationDecision;
}

/** Words a mail. */
declare module "boxoffice:plugin/notification-template@0.2.0" {
  /** What is to be worded. */
  export interface RenderRequest {
    /** The notification's kind, such as `booking-confirmed`. */
    kind: string;
    /** BCP 47 tag of the reader's language, such as `en`. */
    locale: string;
    /** What the mail is about, as JSON; its shape is in `data/KIND.schema.json`. */
    dataJson: string;
  }
  /** The words of one mail. */
  export interface Rendered {
    /** One line of up to 200 characters. */
    subject: string;
    /** Plain text, up to 256 KiB. */
    text: string;
    /** HTML, up to 256 KiB. Leave out what only a script or another server could show. */
    html: string;
  }
  /**
   * Words a mail, or says why it can't; then the built-in words are used. An `ok` is for kinds that this plugin
   * words itself; answer `err("not mine")` for the others.
   */
  export function render(request: RenderRequest, config: string): Rendered;
}
