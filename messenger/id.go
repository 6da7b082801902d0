// Package messenger names the things Messenger is made of: the ids of Pages,
// people, apps and messages, the thread they meet in, and the events that
// happen on it. It imports nothing of ours but flatjson and does no I/O.
package messenger

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

type (
	// PageID is the id of a Facebook Page (or Instagram account). Opaque digits.
	PageID string
	// PSID is the page-scoped id of a person: another one on every Page.
	PSID string
	// AppID is the id of a Meta app. Meta sends it as a JSON string or number,
	// mixed even within one payload, and as null for nobody; see UnmarshalJSON.
	AppID string
	// MessageID is Meta's mid.
	MessageID string
)

// Apps of Meta's own that can control a thread.
//
// https://developers.facebook.com/documentation/business-messaging/messenger-platform/conversation-routing
const (
	// PageInbox is the inbox of a Page in Meta Business Suite, where agents
	// answer. Never compare an echo with it: Meta's own echo page prints it one
	// digit short. Ask "is it our app?" instead.
	PageInbox AppID = "263902037430900"
	// InstagramInbox is the inbox of an Instagram account.
	InstagramInbox AppID = "1217981644879628"
	// LeadGen controls a thread while the questions of a lead ad run.
	LeadGen AppID = "413038776280800"
	// BusinessAI is Meta's own AI agent (observed in production, not documented).
	BusinessAI AppID = "622851382610562"
)

// LikeSticker is the sticker_id of the thumbs-up that a bare Like sends.
const LikeSticker = "369239263222822"

// errNotAnID reports JSON that is no id: neither string, integer nor null.
var errNotAnID = errors.New("not an id: want a string, an integer or null")

// UnmarshalJSON reads an app id from a string, an integer or null ("" = nobody).
// The digits never pass through a float.
func (a *AppID) UnmarshalJSON(b []byte) error {
	s, err := flexString(b)
	if err != nil {
		return fmt.Errorf("app id: %w", err)
	}
	*a = AppID(s)
	return nil
}

// flexString returns the text of a JSON string or the digits of a JSON integer;
// null gives "".
func flexString(b []byte) (string, error) {
	b = bytes.TrimSpace(b)
	switch {
	case len(b) == 0, string(b) == "null":
		return "", nil
	case b[0] == '"':
		var s string
		if err := json.Unmarshal(b, &s); err != nil {
			return "", err
		}
		return strings.TrimSpace(s), nil
	}
	for i, c := range b {
		if (c < '0' || c > '9') && (i != 0 || c != '-' || len(b) == 1) {
			return "", errNotAnID
		}
	}
	return string(b), nil
}

// ThreadKey names a thread: one person's conversation with one Page.
type ThreadKey struct {
	Page PageID `json:"page"`
	PSID PSID   `json:"psid"`
}

// ErrBadThreadKey reports text that is not page:psid.
var ErrBadThreadKey = errors.New("not a thread: want PAGE:PSID")

// ParseThreadKey reads what String writes. An empty PSID is the Page's own
// thread, which holds events that concern no person.
func ParseThreadKey(s string) (ThreadKey, error) {
	page, psid, ok := strings.Cut(s, ":")
	if !ok || page == "" || strings.Contains(psid, ":") {
		return ThreadKey{}, fmt.Errorf("%q: %w", s, ErrBadThreadKey)
	}
	return ThreadKey{Page: PageID(page), PSID: PSID(psid)}, nil
}

// String returns page:psid.
func (k ThreadKey) String() string { return string(k.Page) + ":" + string(k.PSID) }

// IsZero tells whether k names no thread.
func (k ThreadKey) IsZero() bool { return k == ThreadKey{} }

// Partition returns which of n partitions the thread lives in, from 0 to n-1.
// It must never change: stored threads would no longer be found.
func (k ThreadKey) Partition(n int) int {
	const basis, prime = 14695981039346656037, 1099511628211 // of FNV-1a, 64 bits
	x := uint64(basis)
	for _, part := range [...]string{string(k.Page), ":", string(k.PSID)} {
		for i := range len(part) {
			x = (x ^ uint64(part[i])) * prime
		}
	}
	x ^= x >> 32              // FNV's low bits alone spread short keys poorly
	return int(x % uint64(n)) //nolint:gosec // n is a count, and the result below it
}
