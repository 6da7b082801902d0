package webhook

import "usher/messenger"

// What Meta sends, by its own names. What it means is decode.go's.
//
// https://developers.facebook.com/documentation/business-messaging/messenger-platform/webhooks/webhook-events

// entry is what one delivery has of one Page. It holds arrays of items, most
// often only one array with one item.
//
//	{"id":"PAGE","time":1458692752478,
//	 "messaging":[…], "standby":[…], "changes":[{"field":"messages","value":{…}}],
//	 "hop_context":[{"app_id":2262510160704936,"metadata":"…"}]}
type entry struct {
	id, time value
	lists    []list // in the order of the text
}

// list is an entry's array of items.
type list struct {
	name  string
	items value // not always an array, if Meta or somebody in between errs
}

// readEntry reads an entry into e, whose room for lists it uses.
func readEntry(v value, e *entry) {
	for name, member := range v.members() {
		switch name {
		case "id":
			e.id = member
		case "time":
			e.time = member
		case "uid", "hop_context": // no events
		case "messaging", "standby", "changes", "messaging_handovers":
			e.lists = append(e.lists, list{name, member})
		default:
			if member.isArray() {
				e.lists = append(e.lists, list{name, member})
			}
		}
	}
}

// item is one notification: who, when, and what under the name of what it is.
//
//	{"sender":{"id":"PSID"},"recipient":{"id":"PAGE"},"timestamp":1458692752478,"read":{"watermark":1458668856253}}
//
// An echo has the Page as its sender and the person as its recipient; app roles
// and policy have no sender; a user of a plugin has a user_ref instead of an id.
type item struct {
	raw               value
	sender, recipient value
	timestamp         value
	parts             []part // what happened, in the order of the text
	stray             string // the first by alphabet of the names that nobody knows
}

// part is one of the things that an item tells.
type part struct {
	name string
	kind messenger.Kind
	body value
}

// readItem reads an item into it, whose room for parts it uses.
func readItem(v value, it *item) {
	it.raw = v
	for name, member := range v.members() {
		switch name {
		case "sender":
			it.sender = member
		case "recipient":
			it.recipient = member
		case "timestamp":
			it.timestamp = member
		case "hop_context": // which way a lead came
		default:
			if kind, known := kindOf(name); !known {
				it.stray = first(it.stray, name)
			} else if member != "" {
				it.parts = append(it.parts, part{name, kind, member})
			}
		}
	}
}

// first returns the name that comes first; "" is none.
func first(a, b string) string {
	if a == "" {
		return b
	}
	return min(a, b)
}

// kindOf tells what a member of an item is by its name, and whether it tells of
// anything that happened.
func kindOf(name string) (kind messenger.Kind, known bool) {
	switch name {
	case "message", "postback", "app_roles", "read", "delivery", "reaction", "optin", "referral", "account_linking":
		return messenger.Kind(name), true
	case "pass_thread_control":
		return messenger.KindPass, true
	case "take_thread_control":
		return messenger.KindTake, true
	case "request_thread_control":
		return messenger.KindRequest, true
	case "policy_enforcement", "policy-enforcement":
		return messenger.KindPolicy, true
	case "message_edit":
		return messenger.KindEdit, true
	case "messaging_feedback", "response_feedback":
		return messenger.KindFeedback, true
	case "order", "template": // known to come, not understood
		return messenger.KindUnknown, true
	}
	return "", false
}

// message is what a customer sent or, with is_echo, what the Page sent.
//
//	{"mid":"m_…","text":"hi","quick_reply":{"payload":"P"},
//	 "attachments":[{"type":"image","payload":{"url":"https://…","sticker_id":369239263222822}}]}
//	{"mid":"m_…","is_echo":true,"app_id":1517776481860111,"metadata":"ours","text":"…","ai_generated":true}
//
// Only Instagram documents is_deleted; admin_text is a notice of Meta's own.
//
// https://developers.facebook.com/documentation/business-messaging/messenger-platform/webhooks/webhook-events/message-echoes
type message struct {
	text, quickReply, attachments        value
	isEcho, appID, metadata, aiGenerated value
	isDeleted, adminText                 value
}

func readMessage(v value) (m message) {
	v.pick(
		field{"text", &m.text}, field{"quick_reply", &m.quickReply},
		field{"attachments", &m.attachments},
		field{"is_echo", &m.isEcho}, field{"app_id", &m.appID},
		field{"metadata", &m.metadata}, field{"ai_generated", &m.aiGenerated},
		field{"is_deleted", &m.isDeleted}, field{"admin_text", &m.adminText},
	)
	return m
}

// control is a change of who controls the thread, or the wish for one. The
// previous owner is null when the thread was idle, and may be missing.
//
//	{"previous_owner_app_id":"111","new_owner_app_id":222,"metadata":"…"}
//	{"requested_owner_app_id":333,"metadata":"…"}
//
// https://developers.facebook.com/documentation/business-messaging/messenger-platform/webhooks/webhook-events/messaging_handovers
type control struct {
	previousOwner, newOwner, requestedOwner, metadata value
}

func readControl(v value) (c control) {
	v.pick(
		field{"previous_owner_app_id", &c.previousOwner}, field{"new_owner_app_id", &c.newOwner},
		field{"requested_owner_app_id", &c.requestedOwner}, field{"metadata", &c.metadata},
	)
	return c
}
