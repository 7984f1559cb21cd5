//! Tests of HTTP itself, around and below the routes.

mod connections;
mod edges;
mod error_pages;
mod exports;
mod layers;
mod pages;
