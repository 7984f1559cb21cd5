//! What a failure means for the mail, depending on how far the conversation had come.
//!
//! Called by the mailer and its connections. Pure: no network here.

use std::fmt;

use boxoffice_engine::ports::MailOutcome;
use lettre::transport::smtp;

/// Longest reply kept, in characters; a server's reply is stored with the delivery.
const REPLY_CHARACTERS_MAX: usize = 500;

/// How far the conversation about one mail had come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// TCP, greeting, TLS, EHLO, AUTH: about the account.
    Connect,
    /// MAIL: about our sender address, so about the account as well.
    Mail,
    /// RCPT: about this recipient.
    Recipient,
    /// DATA: about this mail.
    Data,
    /// The message is being written; without its final dot no server takes it over.
    Message,
    /// The final dot was handed to the network.
    FinalDot,
}

/// Why a step failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// The server said no.
    Reply {
        /// Three digits (RFC 5321, 4.2).
        code: u16,
        /// The code and what else it said.
        text: String,
    },
    /// The connection failed, or the server spoke something else than SMTP.
    Broken {
        /// The reason.
        reason: String,
    },
    /// No answer in time.
    TimedOut,
}

impl Failure {
    pub(super) fn broken(reason: impl fmt::Display) -> Self {
        Self::Broken {
            reason: cleaned(&reason.to_string()),
        }
    }

    /// Whether the server had hung up before this conversation began: the connection failed or it said 421.
    pub(super) fn is_dead_connection(&self) -> bool {
        matches!(self, Self::Broken { .. } | Self::Reply { code: 421, .. })
    }
}

impl From<smtp::Error> for Failure {
    /// lettre is asked for the handshake of TLS alone; no reply is behind its errors.
    fn from(error: smtp::Error) -> Self {
        Self::broken(error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reply { text, .. } => formatter.write_str(text),
            Self::Broken { reason } => formatter.write_str(reason),
            Self::TimedOut => formatter.write_str("no answer in time"),
        }
    }
}

/// Says what a failure at a stage means for the mail.
///
/// Only the recipient's or the mail's own 5xx is final: what is wrong with our account, the server or the way to it
/// must not cost a customer their mail. From the final dot on, silence is not a no (RFC 1047).
pub(super) fn outcome_of(stage: Stage, failure: Failure) -> MailOutcome {
    let about_this_mail = matches!(stage, Stage::Recipient | Stage::Data | Stage::FinalDot);
    match failure {
        Failure::Reply {
            code: 500..=599,
            text,
        } if about_this_mail && !is_sign_in_demand(&text) => MailOutcome::Refused { reply: text },
        Failure::Reply {
            code: 400..=599,
            text,
        } => MailOutcome::Deferred { reply: text },
        other if stage == Stage::FinalDot => MailOutcome::Unknown {
            reason: other.to_string(),
        },
        other => MailOutcome::Deferred {
            reply: other.to_string(),
        },
    }
}

/// The server's words as one bounded line without control characters, ready to be stored and shown.
pub(super) fn cleaned(reply: &str) -> String {
    let mut line = String::new();
    for word in reply.split(|character: char| character.is_control() || character.is_whitespace()) {
        if word.is_empty() {
            continue;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    match line.char_indices().nth(REPLY_CHARACTERS_MAX) {
        Some((end, _)) => line[..end].to_owned(),
        None => line,
    }
}

/// 530 at RCPT or DATA is a demand to sign in (RFC 4954, section 6): our account's fault, not the mail's.
fn is_sign_in_demand(text: &str) -> bool {
    text.starts_with("530")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(code: u16) -> Failure {
        Failure::Reply {
            code,
            text: format!("{code} said so"),
        }
    }

    #[test]
    fn only_the_recipients_and_the_mails_own_5xx_is_final() {
        for stage in [Stage::Recipient, Stage::Data, Stage::FinalDot] {
            assert_eq!(
                outcome_of(stage, reply(550)),
                MailOutcome::Refused {
                    reply: "550 said so".into()
                }
            );
            assert_eq!(
                outcome_of(stage, reply(451)),
                MailOutcome::Deferred {
                    reply: "451 said so".into()
                }
            );
            assert_eq!(
                outcome_of(stage, reply(530)),
                MailOutcome::Deferred {
                    reply: "530 said so".into()
                }
            );
        }
        for stage in [Stage::Connect, Stage::Mail] {
            for code in [421, 450, 535, 550, 554] {
                assert!(
                    matches!(outcome_of(stage, reply(code)), MailOutcome::Deferred { .. }),
                    "{stage:?} {code}"
                );
            }
        }
    }

    #[test]
    fn silence_leaves_doubt_only_after_the_final_dot() {
        for failure in [Failure::TimedOut, Failure::broken("connection reset")] {
            for stage in [
                Stage::Connect,
                Stage::Mail,
                Stage::Recipient,
                Stage::Data,
                Stage::Message,
            ] {
                assert!(
                    matches!(
                        outcome_of(stage, failure.clone()),
                        MailOutcome::Deferred { .. }
                    ),
                    "{stage:?}"
                );
            }
            assert!(matches!(
                outcome_of(Stage::FinalDot, failure),
                MailOutcome::Unknown { .. }
            ));
        }
        // Neither yes nor no: 3xx after the final dot is no SMTP.
        assert!(matches!(
            outcome_of(Stage::FinalDot, reply(354)),
            MailOutcome::Unknown { .. }
        ));
    }

    #[test]
    fn replies_become_one_bounded_line() {
        assert_eq!(
            cleaned(" 550 no\r\n such\u{0}\tuser\u{1b}[31m "),
            "550 no such user [31m"
        );
        assert_eq!(cleaned(&"é".repeat(501)).chars().count(), 500);
        assert_eq!(cleaned(&"é".repeat(500)).chars().count(), 500);
    }

    #[test]
    fn a_hung_up_connection_is_told_from_a_refusal() {
        assert!(Failure::broken("incomplete response").is_dead_connection());
        assert!(reply(421).is_dead_connection());
        assert!(!reply(450).is_dead_connection());
        assert!(!Failure::TimedOut.is_dead_connection());
    }
}
