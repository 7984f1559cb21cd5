//! The success responses: descriptions, lists by reference, and examples.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use utoipa::{
    Modify,
    openapi::{
        Ref, RefOr, Response, Schema,
        path::{ParameterBuilder, ParameterIn},
        schema::ArrayItems,
    },
};

use super::operations_by_method;

/// The prefix of the names of pages; the name of their items' schema follows.
const PAGE_OF: &str = "PageResponse_";

/// Makes the items of a page a reference to their schema. Generics would repeat the schema, and generated clients would have
/// two classes for one thing.
pub(super) struct PageItems;

impl Modify for PageItems {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let schemas = &mut openapi.components.get_or_insert_default().schemas;
        let mut found = Vec::new();
        for (name, schema) in schemas.iter_mut() {
            let (Some(of), RefOr::T(Schema::Object(page))) = (name.strip_prefix(PAGE_OF), schema)
            else {
                continue;
            };
            if let Some(RefOr::T(Schema::Array(list))) = page.properties.get_mut("items") {
                let reference = RefOr::Ref(Ref::from_schema_name(of));
                let items = ArrayItems::RefOrSchema(Box::new(reference));
                if let ArrayItems::RefOrSchema(whole) = std::mem::replace(&mut list.items, items) {
                    found.push((of.to_owned(), *whole));
                }
            }
        }
        for (name, schema) in found {
            schemas.entry(name).or_insert(schema);
        }
    }
}

/// Describes each success response with the text of its schema.
pub(super) struct Described;

impl Modify for Described {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let schemas = openapi.components.clone().unwrap_or_default().schemas;
        for (_, _, operation) in operations_by_method(openapi) {
            for (status, response) in &mut operation.responses.responses {
                let RefOr::T(response) = response else {
                    continue;
                };
                if !status.starts_with('2') || !response.description.is_empty() {
                    continue;
                }
                let shown = shown_by(response).map(|name| match name.strip_prefix(PAGE_OF) {
                    Some(of) => format!("One page of a list: {}", description_of(&schemas, of)),
                    None => description_of(&schemas, &name),
                });
                response.description = match (status.as_str(), shown) {
                    ("201", Some(shown)) => format!("Made. {shown}"),
                    ("202", Some(shown)) => {
                        format!("Taken, and worked on behind this answer. {shown}")
                    }
                    (_, Some(shown)) => shown,
                    ("204", None) => "Done; no content.".to_owned(),
                    (_, None) => "Done.".to_owned(),
                };
            }
        }
    }
}

/// The name of the schema of a response.
fn shown_by(response: &Response) -> Option<String> {
    match response.content.values().next()?.schema.as_ref()? {
        RefOr::Ref(reference) => reference.ref_location.rsplit('/').next().map(str::to_owned),
        RefOr::T(_) => None,
    }
}

fn description_of(schemas: &BTreeMap<String, RefOr<Schema>>, name: &str) -> String {
    let described = match schemas.get(name) {
        Some(RefOr::T(Schema::Object(object))) => object.description.clone(),
        Some(RefOr::T(Schema::AllOf(parts))) => parts.description.clone(),
        Some(RefOr::T(Schema::OneOf(choices))) => choices.description.clone(),
        _ => None,
    };
    described.unwrap_or_default()
}

/// Adds examples to each operation: requests and responses of the tests (`tests/it/routes/description.rs` writes
/// them), so that they are real.
pub(super) struct Examples;

impl Modify for Examples {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let examples: Map<String, Value> = serde_json::from_str(include_str!("../examples.json"))
            .expect("the file is written by a test");
        for (method, path, operation) in operations_by_method(openapi) {
            let Some(example) = examples.get(&format!("{method} {path}")) else {
                continue;
            };
            let shown = |what: &str| example.get(what).cloned();
            let thing = shown("path").and_then(|path| path.as_str().map(str::to_owned));
            let thing = thing.unwrap_or_else(|| "new".to_owned());
            let things: Vec<&str> = match path.contains("{operator}") && path.contains("{id}") {
                // The example's resource is the end of the path.
                true => vec!["me", &thing],
                false => thing.split('/').collect(),
            };
            let parameters = operation.parameters.iter_mut().flatten();
            let in_path = parameters.filter(|one| one.parameter_in == ParameterIn::Path);
            for (parameter, thing) in in_path.zip(things) {
                *parameter = ParameterBuilder::from(parameter.clone())
                    .example(Some(thing.into()))
                    .build();
            }
            for (media, content) in operation
                .request_body
                .iter_mut()
                .flat_map(|body| &mut body.content)
            {
                if media.contains("json") {
                    content.example = shown("request");
                }
            }
            for (status, response) in &mut operation.responses.responses {
                if let (true, RefOr::T(response)) = (status.starts_with('2'), response) {
                    for content in response.content.values_mut() {
                        content.example = shown("response");
                    }
                }
            }
        }
    }
}
