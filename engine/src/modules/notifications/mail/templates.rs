//! The words of a mail: the built-in templates, and the choice between them and the platform's or tenant's own.
//!
//! Called by the composing of mails. Calls the templates port.

use std::sync::LazyLock;

use minijinja::{Environment, UndefinedBehavior, context};
use serde_json::Value;

use super::{branding, context::MailContext, data::common_data, direction};
use crate::{
    error::{Error, Result},
    modules::notifications::kinds,
    ports::{RenderFailure, Rendered, Templates, judge_mail},
    types::{Label, NotificationKind},
};

/// Words a mail: with the platform's templates if there are any and they work, else with the built-in ones.
pub(super) async fn render(
    templates: Option<&dyn Templates>,
    context: &MailContext<'_>,
) -> Result<Rendered> {
    let data = data(context);
    let Some(templates) = templates else {
        return built_in(context.kind, &data);
    };
    let rendered = templates
        .render(&context.tenant.id, context.kind, &data)
        .await;
    match rendered.and_then(|rendered| judge_mail(rendered).map_err(RenderFailure)) {
        Ok(rendered) => Ok(rendered),
        Err(RenderFailure(reason)) => {
            tracing::warn!(
                tenant = %context.tenant.id,
                kind = %context.kind,
                notification = %context.notification,
                reason,
                "the templates gave no valid text; using the built-in ones"
            );
            built_in(context.kind, &data)
        }
    }
}

/// What templates see of a mail, in the same shape for every mail of its kind.
pub(super) fn data(context: &MailContext<'_>) -> Value {
    let mut data = common_data(context);
    kinds::of(context.kind).add_data(context, &mut data);
    data
}

static BUILT_IN: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_trim_blocks(true);
    environment.set_lstrip_blocks(true);
    environment.add_filter("isolated", direction::isolated);
    environment.add_function("button", branding::button);
    let mut add = |name: String, source: &'static str| {
        environment
            .add_template_owned(name, source)
            .expect("the built-in templates can be parsed; a test renders each");
    };
    // The default rule for escaping goes by the name: `.html` is escaped, `.txt` is not.
    add(
        "layout.txt".to_owned(),
        include_str!("../../../../templates/layout.txt"),
    );
    add(
        "layout.html".to_owned(),
        include_str!("../../../../templates/layout.html"),
    );
    for kind in NotificationKind::ALL {
        let own = kinds::of(*kind).templates();
        add(format!("{kind}/subject.txt"), own.subject);
        add(format!("{kind}/body.txt"), own.text);
        add(format!("{kind}/body.html"), own.html);
    }
    environment
});

/// Words a mail with the built-in templates: the kind's own sentences inside the layout all kinds share.
fn built_in(kind: NotificationKind, data: &Value) -> Result<Rendered> {
    let data = minijinja::Value::from_serialize(data);
    let own = |part: &str| render_template(&format!("{kind}/{part}"), &data);
    let text = own("body.txt")?;
    let html = minijinja::Value::from_safe_string(own("body.html")?);
    Ok(Rendered {
        subject: direction::shortened(own("subject.txt")?.trim(), Label::CHARACTERS_MAX),
        text: render_template(
            "layout.txt",
            &context! { content => text.trim(), ..data.clone() },
        )?,
        html: render_template("layout.html", &context! { content => html, ..data.clone() })?,
    })
}

fn render_template(name: &str, data: &minijinja::Value) -> Result<String> {
    BUILT_IN
        .get_template(name)
        .and_then(|template| template.render(data))
        .map_err(Error::internal)
}
