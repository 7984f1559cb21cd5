//! JSON Schema (2020-12) of configurations, from the declarations that also make their readers.
//!
//! `settings!` declares an object, `choice!` an object with exactly one of several members. A test compares schema and reader
//! (`schema_check`). Called by the policies of the catalogue. Pure.

use serde_json::{Map, Value, json};

/// What a value of a configuration is.
pub(super) trait Described {
    /// Whether an object needs it.
    const IS_REQUIRED: bool = true;

    /// Its schema.
    fn schema() -> Value;
}

impl Described for bool {
    /// It is false if it is left out.
    const IS_REQUIRED: bool = false;

    fn schema() -> Value {
        json!({ "type": "boolean" })
    }
}

impl<T: Described> Described for Option<T> {
    const IS_REQUIRED: bool = false;

    /// The same: `null` is read like a member that is left out, and is not recommended.
    fn schema() -> Value {
        json!({ "anyOf": [T::schema(), { "type": "null" }] })
    }
}

/// A member of an object.
pub(super) struct Member {
    pub(super) name: &'static str,
    pub(super) description: String,
    pub(super) is_required: bool,
    pub(super) schema: Value,
}

impl Member {
    pub(super) fn of<T: Described>(name: &'static str, lines: &[&str]) -> Self {
        Self {
            name,
            description: sentence(lines),
            is_required: T::IS_REQUIRED,
            schema: T::schema(),
        }
    }
}

/// The schema of an object with these members and no others.
pub(super) fn object(lines: &[&str], members: Vec<Member>) -> Value {
    let names = members.iter().filter(|member| member.is_required);
    let required: Vec<_> = names.map(|member| camel_case(member.name)).collect();
    let properties: Map<_, _> = members.into_iter().map(described).collect();
    json!({
        "type": "object",
        "description": sentence(lines),
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

/// The schema of an object with exactly one of these members.
pub(super) fn one_of(lines: &[&str], members: Vec<Member>) -> Value {
    let one = |member: Member| {
        let (name, schema) = described(member);
        let mut properties = Map::new();
        properties.insert(name.clone(), schema);
        json!({
            "type": "object",
            "properties": properties,
            "required": [name],
            "additionalProperties": false,
        })
    };
    let all: Vec<_> = members.into_iter().map(one).collect();
    json!({ "description": sentence(lines), "oneOf": all })
}

fn described(member: Member) -> (String, Value) {
    let mut schema = member.schema;
    schema["description"] = member.description.into();
    (camel_case(member.name), schema)
}

/// The lines of a doc comment as one text.
fn sentence(lines: &[&str]) -> String {
    let lines: Vec<_> = lines.iter().map(|line| line.trim()).collect();
    lines.join(" ")
}

/// The JSON name of a Rust name, of a field or of a variant.
fn camel_case(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default();
    let mut camel = first[..1].to_ascii_lowercase() + &first[1..];
    for word in words {
        camel += &word[..1].to_ascii_uppercase();
        camel += &word[1..];
    }
    camel
}

/// Declares an object of a configuration. Unknown members are refused.
macro_rules! settings {
    (
        $(#[doc = $about:literal])+
        $visibility:vis struct $name:ident {
            $($(#[doc = $doc:literal])+ $(#[serde($($how:tt)+)])? $field:ident: $type:ty,)+
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Debug, serde::Deserialize)]
        #[serde(rename_all = "camelCase", deny_unknown_fields)]
        $visibility struct $name {
            $($(#[doc = $doc])+ $(#[serde($($how)+)])? $field: $type,)+
        }

        impl $crate::modules::catalogue::schema::Described for $name {
            fn schema() -> serde_json::Value {
                use $crate::modules::catalogue::schema::{Member, object};
                let members = vec![$(Member::of::<$type>(stringify!($field), &[$($doc),+]),)+];
                object(&[$($about),+], members)
            }
        }
    };
}

/// Declares an object of a configuration with exactly one of several members.
macro_rules! choice {
    (
        $(#[doc = $about:literal])+
        $visibility:vis enum $name:ident {
            $($(#[doc = $doc:literal])+ $variant:ident($type:ty),)+
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Debug, Clone, Copy, serde::Deserialize)]
        #[serde(rename_all = "camelCase")]
        $visibility enum $name {
            $($(#[doc = $doc])+ $variant($type),)+
        }

        impl $crate::modules::catalogue::schema::Described for $name {
            fn schema() -> serde_json::Value {
                use $crate::modules::catalogue::schema::{Member, one_of};
                let members = vec![$(Member::of::<$type>(stringify!($variant), &[$($doc),+]),)+];
                one_of(&[$($about),+], members)
            }
        }
    };
}

pub(super) use {choice, settings};

#[cfg(test)]
mod tests {
    use super::camel_case;

    #[test]
    fn names_are_those_that_serde_reads() {
        for (rust, json) in [
            ("codes", "codes"),
            ("uses_per_customer_max", "usesPerCustomerMax"),
            ("AmountMinor", "amountMinor"),
            ("At", "at"),
        ] {
            assert_eq!(camel_case(rust), json);
        }
    }
}
