//! The outcome of a failure for the mail, depending on the stage.
//!
//! Called by the mailer and its connections. Pure: no network here.

use std::fmt;

use boxoffice_engine::ports::MailOutcome;
use lettre::transport::smtp;

/// Longest stored reply, in characters.
const REPLY_CHARACTERS_MAX: usize = 500;

/// The stage of the delivery of one mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// TCP, greeting, TLS, EHLO, AUTH: concerns the account.
    Connect,
    /// MAIL: concerns the sender's address, so the account as well.
    Mail,
    /// RCPT: concerns this recipient.
    Recipient,
    /// DATA: concerns this mail.
    Data,
    /// The message is being written; without the final dot no server accepts it.
    Message,
    /// The final dot was sent.
    FinalDot,
}

/// Why a step failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// The server refused.
    Reply {
        /// Three digits (RFC 5321, 4.2).
        code: u16,
        /// The code and text.
        text: String,
    },
    /// The connection failed, or the server did not speak SMTP.
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

    /// Returns whether the server had closed the connection before: it failed, or the server sent 421.
    pub(super) fn is_dead_connection(&self) -> bool {
        matches!(self, Self::Broken { .. } | Self::Reply { code: 421, .. })
    }
}

impl From<smtp::Error> for Failure {
    /// lettre is only used for the TLS handshake; its errors have no reply.
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

/// The outcome of a failure at a stage.
///
/// Only a 5xx for the recipient or the mail is final: problems of the account, the server or the network
/// must not lose a mail. After the final dot, no reply does not mean failure (RFC 1047).
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

/// The server's reply as one line of limited length without control characters, to be stored and shown.
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

/// 530 at RCPT or DATA demands authentication (RFC 4954, section 6): a problem of the account, not of the mail.
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
        // 3xx after the final dot is not valid SMTP.
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
