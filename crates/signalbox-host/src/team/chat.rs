//! The chat of a project.

use signalbox_model::{ChatLink, ChatMessage, EventData, Member, MemberId, NewEvent, ProjectId, Role, Room};
use signalbox_store::{Batch, KeyClaim, StoreError};
use signalbox_wire::{
    CallError, Caller, ErrorCode,
    method::{ChatEdit, ChatList, ChatPage, ChatPost, ChatRef, ChatReply},
};

use crate::{
    Host,
    handlers::{Reply, bounded},
    host::store_error,
    ids,
};

/// Most bytes of a message.
const TEXT: usize = 4096;
/// Most things that a message points at, and most members that it names.
const LINKS: usize = 16;
const MENTIONS: usize = 50;

fn check_text(text: &str) -> Reply<()> {
    if text.trim().is_empty() || text.len() > TEXT {
        return Err(CallError::bad_request(format!("a message has 1 to {TEXT} bytes; nothing was posted")));
    }
    // Everything else a person may write; this one no terminal and no database takes for text.
    if text.contains('\0') {
        return Err(CallError::bad_request("a message has no NUL; nothing was posted"));
    }
    Ok(())
}

/// Members that a text names: `@` at the beginning of a word, then the longest name that fits, whatever its case, and
/// no letter or digit after it.
fn mentions(text: &str, members: &[Member]) -> Vec<MemberId> {
    let mut found = Vec::new();
    let mut before = ' ';
    for (at, letter) in text.char_indices() {
        let begins = letter == '@' && !before.is_alphanumeric();
        before = letter;
        if !begins {
            continue;
        }
        let rest = &text[at + 1..];
        let named = |member: &&Member| {
            let mut letters = rest.chars();
            let fits = member
                .name
                .chars()
                .all(|wanted| letters.next().is_some_and(|letter| letter.to_lowercase().eq(wanted.to_lowercase())));
            fits && letters.next().is_none_or(|next| !next.is_alphanumeric())
        };
        let longest = members.iter().filter(named).map(|member| member.name.chars().count()).max();
        // Two members of one name are both meant.
        let meant = members.iter().filter(named).filter(|member| Some(member.name.chars().count()) == longest);
        for member in meant {
            if !found.contains(&member.id) && found.len() < MENTIONS {
                found.push(member.id.clone());
            }
        }
    }
    found
}

fn page(mut messages: Vec<ChatMessage>, limit: usize) -> ChatPage {
    let more = messages.len() > limit;
    if more {
        messages.remove(0);
    }
    ChatPage { messages, more }
}

impl Host {
    fn check_links(&self, project: &ProjectId, links: &[ChatLink]) -> Reply<()> {
        if links.len() > LINKS {
            return Err(CallError::bad_request(format!(
                "a message points at {LINKS} things at most; nothing was posted"
            )));
        }
        for link in links {
            let run = self.read(|reader| reader.run(&link.run))?.filter(|run| run.project == *project);
            run.ok_or_else(|| CallError::not_found("run", &link.run))?;
            match &link.step {
                Some(step) => drop(self.known_step(&link.run, step)?),
                None if link.line.is_some() => return Err(CallError::bad_request("a line needs a step")),
                None => {}
            }
        }
        Ok(())
    }

    /// A message that the caller may see.
    fn visible_message(&self, caller: &Caller, id: &signalbox_model::ChatId) -> Reply<ChatMessage> {
        let found = self.read(|reader| reader.chat_message(id))?.filter(|message| caller.sees(&message.project));
        found.ok_or_else(|| CallError::not_found("message", id))
    }

    pub(crate) async fn post_chat(&self, caller: &Caller, params: ChatPost) -> Reply<ChatReply> {
        let project = self.project(caller, &params.project)?.id.clone();
        check_text(&params.text)?;
        let links = params.links.unwrap_or_default();
        self.check_links(&project, &links)?;
        if let Some(reply_to) = &params.reply_to
            && self.visible_message(caller, reply_to)?.project != project
        {
            return Err(CallError::not_found("message", reply_to));
        }
        let now = self.inner.clock.now();
        let message = ChatMessage {
            id: ids::chat(now),
            project,
            author: caller.member.clone(),
            author_name: caller.actor.clone(),
            mentions: mentions(&params.text, &self.audience(&params.project, Role::Viewer)?),
            text: params.text,
            links,
            reply_to: params.reply_to,
            created_at: now,
            edited_at: None,
            deleted: false,
        };
        let reply = ChatReply { message: message.clone() };
        let for_key = reply.clone();
        let key = caller.key.clone().map(|key| KeyClaim {
            member: caller.member.clone(),
            key,
            reply: Box::new(move |_| serde_json::to_string(&for_key).unwrap_or_default()),
        });
        let batch = Batch { events: vec![event(caller, message)], key, ..Batch::default() };
        match self.inner.store.append(batch).await {
            Ok(_) => Ok(reply),
            Err(StoreError::Repeated { reply }) => {
                serde_json::from_str(&reply).map_err(|error| CallError::new(ErrorCode::Internal, error.to_string()))
            }
            Err(error) => Err(store_error(error)),
        }
    }

    pub(crate) async fn edit_chat(&self, caller: &Caller, params: ChatEdit) -> Reply<ChatReply> {
        check_text(&params.text)?;
        let _one_at_a_time = self.inner.team.writing.lock().await;
        let known = self.visible_message(caller, &params.message)?;
        if known.author != caller.member {
            let text = "only who wrote a message can change it; nothing was changed";
            return Err(CallError::new(ErrorCode::Forbidden, text));
        }
        if known.deleted {
            return Err(CallError::conflict("this message was taken back"));
        }
        if known.text == params.text {
            return Ok(ChatReply { message: known });
        }
        let message = ChatMessage {
            mentions: mentions(&params.text, &self.audience(&known.project, Role::Viewer)?),
            text: params.text,
            edited_at: Some(self.inner.clock.now()),
            ..known
        };
        self.append_for_team(Batch::of(vec![event(caller, message.clone())])).await?;
        Ok(ChatReply { message })
    }

    pub(crate) async fn delete_chat(&self, caller: &Caller, params: ChatRef) -> Reply<ChatReply> {
        let _one_at_a_time = self.inner.team.writing.lock().await;
        let known = self.visible_message(caller, &params.message)?;
        if known.author != caller.member && caller.role < Role::Owner {
            let text = "only who wrote a message, or an owner, can take it back; nothing was changed";
            return Err(CallError::new(ErrorCode::Forbidden, text));
        }
        if known.deleted {
            return Ok(ChatReply { message: known });
        }
        let message = ChatMessage {
            text: String::new(),
            mentions: Vec::new(),
            links: Vec::new(),
            edited_at: Some(self.inner.clock.now()),
            deleted: true,
            ..known
        };
        self.append_for_team(Batch::of(vec![event(caller, message.clone())])).await?;
        Ok(ChatReply { message })
    }

    pub(crate) fn list_chat(&self, caller: &Caller, params: &ChatList) -> Reply<ChatPage> {
        self.project(caller, &params.project)?;
        let limit = bounded(params.limit, 50, 200)?;
        if let Some(before) = &params.before
            && self.visible_message(caller, before)?.project != params.project
        {
            return Err(CallError::not_found("message", before));
        }
        let messages = self.read(|reader| reader.chat_page(&params.project, params.before.as_ref(), limit + 1))?;
        Ok(page(messages, limit))
    }

    /// Whether a search may still show what an event said: not what a message said before it was changed or taken back.
    pub(crate) fn is_current_message(
        reader: &signalbox_store::Reader<'_>,
        frame: &signalbox_store::Frame,
    ) -> Result<bool, StoreError> {
        #[derive(serde::Deserialize)]
        struct Said {
            data: ChatMessage,
        }
        if !frame.json.starts_with(br#"{"type":"chat_message""#) {
            return Ok(true);
        }
        let said: Said = serde_json::from_slice(&frame.json)?;
        Ok(reader.chat_message(&said.data.id)?.is_none_or(|now| now == said.data))
    }
}

fn event(caller: &Caller, message: ChatMessage) -> NewEvent {
    let room = Room::Project(message.project.clone());
    NewEvent::new(room, caller.actor.clone(), EventData::ChatMessage(message))
}

#[cfg(test)]
mod tests {
    use signalbox_model::Role;

    use super::*;

    fn member(id: &str, name: &str) -> Member {
        let id = MemberId::new(format!("m_{id:0>8}")).unwrap();
        Member {
            id,
            name: name.into(),
            role: Role::Viewer,
            projects: Vec::new(),
            expires_at: None,
            revoked: false,
            invited_by: None,
            issuer: None,
        }
    }

    #[test]
    fn names_are_found_at_the_beginning_of_words_and_the_longest_counts() {
        let members = [member("1", "ann"), member("2", "Ann Lee"), member("3", "Ünal"), member("4", "constructor")];
        let named = |text: &str| -> Vec<String> {
            mentions(text, &members).iter().map(|id| id.as_str()[9..].to_owned()).collect()
        };
        assert_eq!(named("@ann and @ANN LEE, (@ünal) @ann"), ["1", "2", "3"]);
        assert_eq!(named("mail ann@ann.example, @annabel, @, @@constructor!"), ["4"]);
        assert!(named("@__proto__ @Ann\u{0301}x @bob").iter().all(|id| id == "1"));
        assert!(named("").is_empty());
    }
}
