//! Responses to HTTP requests.

use super::chat;
use super::operator;
use super::pages::{self, Body, Page};
use super::request::{Request, RequestError};
use super::response::{Delivery, Response, write_switching};
use super::upgrade::{self, UpgradeError, VERSION};
use crate::wires::{SessionCx, WebRequest};

/// What a connection is after a request.
#[derive(Clone, Debug)]
pub(super) enum Next {
    /// Further requests may follow.
    Requests,
    /// The connection ends once the answer is sent.
    End,
    /// A chat.
    Chat,
    /// The operator's WebSocket.
    Operator,
    /// The request is handed on, and its reply arrives in parts.
    Reply(Delivery, WebRequest),
}

/// Writes the response to the request with this head.
pub(super) fn answer(head: &[u8], cx: &mut SessionCx<'_>) -> Next {
    if head == b"\r\n" {
        return Next::Requests;
    }
    let request = match Request::parse(head) {
        Ok(request) => request,
        Err(RequestError { status, reason }) => {
            let delivery = Delivery { is_head: false, closes: true };
            let text = format!("{reason}\n");
            Response::text(status, &text).write(delivery, cx.queue.tail());
            return Next::End;
        }
    };
    let delivery = Delivery { is_head: request.is_head(), closes: request.closes };
    let next = if request.closes { Next::End } else { Next::Requests };
    if !cx.web.is_own_host(request.host, cx.is_encrypted) {
        let text = "this server does not answer to that name; the operator may give it one with \
                    --web-origin\n";
        Response::text(421, text).write(delivery, cx.queue.tail());
        return next;
    }
    if !["GET", "HEAD"].contains(&request.method) {
        let response = Response::text(405, "only GET and HEAD are answered\n");
        response.with("Allow", "GET, HEAD").write(delivery, cx.queue.tail());
        return next;
    }
    if request.path == "/ws" {
        return open_websocket(&request, chat::PROTOCOL, Next::Chat, cx).unwrap_or(next);
    }
    if is_for_operator(request.path) {
        return match &cx.web.operator_token {
            None => {
                not_found(delivery, cx.queue.tail());
                next
            }
            Some(_) => answer_operator(&request, delivery, cx).unwrap_or(next),
        };
    }
    respond(&request, delivery, cx);
    next
}

/// Writes the response to a request for something other than a WebSocket.
fn respond(request: &Request<'_>, delivery: Delivery, cx: &mut SessionCx<'_>) {
    let out = cx.queue.tail();
    match request.path {
        "/healthz" => Response::text(200, "ok\n").write(delivery, out),
        "/readyz" if cx.relay.is_joined() => Response::text(200, "ready\n").write(delivery, out),
        "/readyz" => {
            let text = "this server has not joined its parent\n";
            Response::text(503, text).write(delivery, out);
        }
        path => match pages::find(path) {
            Some(page) => send_page(page, request, delivery, out),
            None => not_found(delivery, out),
        },
    }
}

fn is_for_operator(path: &str) -> bool {
    path.starts_with("/operator") || path == "/metrics"
}

/// Handles a request for the operator's surface. Returns `None` if it is complete.
fn answer_operator(
    request: &Request<'_>,
    delivery: Delivery,
    cx: &mut SessionCx<'_>,
) -> Option<Next> {
    let wanted = match request.path {
        "/operator/ws" => {
            return open_websocket(request, operator::PROTOCOL, Next::Operator, cx);
        }
        "/operator/state" => WebRequest::State,
        "/metrics" => WebRequest::Metrics,
        _ => {
            respond(request, delivery, cx);
            return None;
        }
    };
    let token = request.authorization.and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
    });
    let expected = cx.web.operator_token.as_ref();
    let is_operator =
        token.zip(expected).is_some_and(|(it, expected)| expected.matches(it.as_bytes()));
    if !is_operator {
        let text = "show the operator's token: Authorization: Bearer TOKEN\n";
        let response = Response::text(401, text).with("WWW-Authenticate", "Bearer");
        response.write(delivery, cx.queue.tail());
        return None;
    }
    Some(Next::Reply(delivery, wanted))
}

fn not_found(delivery: Delivery, out: &mut Vec<u8>) {
    Response::text(404, "there is nothing here; the chat is at /\n").write(delivery, out);
}

fn send_page(page: &Page, request: &Request<'_>, delivery: Delivery, out: &mut Vec<u8>) {
    let gzip = page.gzip.filter(|_| request.accepts_gzip);
    let Body { etag, bytes: body } = gzip.unwrap_or(page.plain);
    let is_current = |known: &str| {
        let mut tags = known.split(',').map(|tag| tag.trim().trim_start_matches("W/"));
        tags.any(|tag| tag == etag || tag == "*")
    };
    let status = if request.if_none_match.is_some_and(is_current) { 304 } else { 200 };
    let headers = format!("ETag: {etag}\r\nCache-Control: no-cache\r\nVary: Accept-Encoding\r\n");
    let response = Response { status, content_type: page.content_type, headers, body };
    match gzip {
        Some(_) => response.with("Content-Encoding", "gzip").write(delivery, out),
        None => response.write(delivery, out),
    }
}

/// Opens a WebSocket. Returns `None` if it refuses to.
fn open_websocket(
    request: &Request<'_>,
    protocol: &str,
    opened: Next,
    cx: &mut SessionCx<'_>,
) -> Option<Next> {
    let delivery = Delivery { is_head: request.is_head(), closes: request.closes };
    let response = match upgrade::accept(request, protocol) {
        Err(UpgradeError::NotAsked) => {
            let response = Response::text(426, "this is a WebSocket\n");
            response.with("Upgrade", "websocket").with("Sec-WebSocket-Version", VERSION)
        }
        Err(UpgradeError::Key) => Response::text(400, "Sec-WebSocket-Key is no key\n"),
        Err(UpgradeError::Protocol) => {
            Response::text(400, "this server does not speak the subprotocols that are offered\n")
        }
        Ok(_) if !is_allowed_origin(request, cx) => Response::text(
            403,
            "the page is of another origin; the operator may allow it with --web-origin\n",
        ),
        Ok((accept_key, is_offered)) => {
            let protocol = is_offered.then_some(protocol);
            write_switching(&accept_key, protocol, cx.queue.tail());
            return Some(opened);
        }
    };
    response.write(delivery, cx.queue.tail());
    None
}

fn is_allowed_origin(request: &Request<'_>, cx: &SessionCx<'_>) -> bool {
    let is_allowed = |origin| cx.web.is_allowed_origin(origin, request.host, cx.is_encrypted);
    request.origin.is_none_or(is_allowed)
}
