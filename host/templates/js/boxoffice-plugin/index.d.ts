/// <reference path="./contract.d.ts" />

import type { BookingRequest, CancellationDecision, CancellationRequest, Claim, Decision } from "boxoffice:plugin/booking-policy@0.2.0";
import type { Rendered } from "boxoffice:plugin/notification-template@0.2.0";
import type { Answer, AnswerValue, MetadataEntry } from "boxoffice:plugin/types@0.2.0";

export type {
  Adjustment,
  BookingRequest,
  CancellationDecision,
  CancellationRequest,
  Claim,
  Decision,
  Rejection,
} from "boxoffice:plugin/booking-policy@0.2.0";
export type { Rendered, RenderRequest } from "boxoffice:plugin/notification-template@0.2.0";
export type {
  Answer,
  AnswerValue,
  Attendee,
  BookingDetails,
  Customer,
  Event,
  Line,
  MetadataEntry,
  Moment,
  Seller,
  TicketType,
} from "boxoffice:plugin/types@0.2.0";

/** A setting of the configuration: takes its value, `undefined` if there is none, and its name; returns it or throws. */
export type Setting<T> = (value: unknown, name: string) => T;

/** The settings of a plugin by name. A name that is not among them fails the call. */
export type Settings = Record<string, Setting<unknown>>;

/** The configuration as it was read by its settings. */
export type Configuration<S extends Settings> = { [Name in keyof S]: ReturnType<S[Name]> };

/** A mail to be worded. */
export interface Mail {
  /** The notification's kind, such as `booking-confirmed`. */
  kind: string;
  /** BCP 47 tag of the reader's language, such as `en`. */
  locale: string;
  /** What the mail is about; its shape is in `data/KIND.schema.json` of the contract. */
  data: any;
}

/** What decides about bookings. Each call runs in a fresh instance: a variable kept outside is gone the next time. */
export interface PolicyFunctions<S extends Settings> {
  settings?: S;
  /** Decides about a booking. What is thrown fails the call, which refuses the booking. */
  validateBooking(request: BookingRequest, configuration: Configuration<S>): Decision;
  /** Decides about a customer's cancellation; a yes if it is left out. */
  validateCancellation?(request: CancellationRequest, configuration: Configuration<S>): CancellationDecision;
}

/** What words mails. */
export interface TemplateFunctions<S extends Settings> {
  settings?: S;
  /** Words a mail, or returns `null` for kinds that keep the built-in words. What is thrown fails the call. */
  render(mail: Mail, configuration: Configuration<S>): Rendered | null;
}

/** Makes the export `bookingPolicy`. It checks the configuration, and that prices and claims are whole numbers in range. */
export function policy<S extends Settings = {}>(
  functions: PolicyFunctions<S>,
): Pick<typeof import("boxoffice:plugin/booking-policy@0.2.0"), "validateBooking" | "validateCancellation">;

/** Makes the export `notificationTemplate`. It checks the configuration, and that the words are texts. */
export function template<S extends Settings = {}>(
  functions: TemplateFunctions<S>,
): Pick<typeof import("boxoffice:plugin/notification-template@0.2.0"), "render">;

/** A yes. */
export function accept(): { tag: "accept" };

/** A yes to a booking at the prices that it has, which tells the customer something, or takes of the tenant's counters. */
export function accept(changes: { messages?: string[]; claims?: Claim[] }): Decision;

/** A no: a code for programs (1 to 64 of `a-z`, `0-9` and `-`), one line of up to 300 characters for the customer. */
export function reject(code: string, reason: string): { tag: "reject"; val: { code: string; reason: string } };

/**
 * A yes at other prices: one in minor units for each line of the request, in the same order, each a whole number from 0 to ten
 * times the list price; `null` leaves them as they are. Up to 10 lines tell the customer about it, and up to 8 claims take of the
 * tenant's counters.
 */
export function adjust(
  unitPricesMinor: number[] | null,
  messages?: string[],
  claims?: Claim[],
): { tag: "adjust"; val: { unitPricesMinor: number[] | null; messages: string[]; claims: Claim[] } };

/**
 * Takes an amount (1; up to 1000) of one of the tenant's counters, such as `code:SPRING`, of which all bookings together may take
 * `limit`. The key is one line of up to 64 characters. What is not left refuses the booking.
 */
export function claim(key: string, limit: number, amount?: number): Claim;

/** The answer to a question, `undefined` if there is none: of a booking's details, or of an attendee. */
export function answer(from: { answers: Answer[] }, question: string): AnswerValue["val"] | undefined;

/** The metadata under a key, `undefined` if there are none: of an event, a ticket type, or a booking's details. */
export function metadata(from: { metadata: MetadataEntry[] }, key: string): string | undefined;

/** A setting that is a whole number, from `min` (0) to `max` (4294967295). Without a default it must be there. */
export function wholeNumber(options?: { min?: number; max?: number; default?: number }): Setting<number>;

/** A setting that is a text with at least one character. */
export function text(options?: { default?: string }): Setting<string>;

/** A setting that is true or false. */
export function flag(options?: { default?: boolean }): Setting<boolean>;

/** Makes text safe inside HTML elements and quoted attributes. */
export function escaped(text: string): string;

/** Writes a line into the plugin's log, which the tenant reads; 8 KiB a call are kept. */
export function debug(message: unknown): void;
/** Notes what happened. */
export function info(message: unknown): void;
/** Notes what should not happen. */
export function warn(message: unknown): void;
/** Notes what went wrong. */
export function error(message: unknown): void;
