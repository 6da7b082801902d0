package graph

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"usher/messenger"
)

const (
	edgeConversations = "conversations"
	// conversationsPace keeps to the 2 calls a second that Meta takes of it.
	//
	// https://developers.facebook.com/docs/graph-api/overview/rate-limiting
	conversationsPace = 600 * time.Millisecond
	// conversationsPart is how many are read at once. With Detailed messages of
	// 2000 characters each, escaped, they stay below maxConversations bytes.
	conversationsPart = 10
	maxConversations  = 4 << 20
)

// Detailed is of how many messages of a conversation, the newest, Meta tells more
// than id and time.
//
// https://developers.facebook.com/documentation/business-messaging/messenger-platform/conversations
const Detailed = 20

// Conversation is what was said on a thread, as far as Meta tells.
type Conversation struct {
	Customer messenger.PSID
	Updated  time.Time // when the last thing was said, UTC, in whole seconds
	Messages []Said    // at most Detailed, newest first
}

// Said is one message of a [Conversation]. Meta tells neither which app sent it nor
// what it carried besides text: no payload, no metadata.
type Said struct {
	MID  messenger.MessageID
	At   time.Time // UTC, in whole seconds
	Page bool      // the Page said it: we, an agent, or another app
	Text string    // "" for media
}

// Conversations goes through the conversations of the Page in which something was
// said since a time, the newest first, at most limit of them, and ends with the
// first error. While it reads, a conversation in which something is said moves to
// the front and is missed: who must have all looks again at those updated since.
//
// Meta takes two of these calls a second, for 10 conversations each; more is
// waited for. The token needs pages_read_engagement beside pages_messaging.
//
// https://developers.facebook.com/documentation/business-messaging/messenger-platform/conversations
func (c *Client) Conversations(ctx context.Context, since time.Time, limit int) iter.Seq2[Conversation, error] {
	since = since.Truncate(time.Second) // as Meta tells it
	return func(yield func(Conversation, error) bool) {
		after, seen := "", 0
		for seen < limit {
			part, next, err := c.conversations(ctx, after, min(limit-seen, conversationsPart))
			if err != nil {
				yield(Conversation{}, err)
				return
			}
			for _, one := range part {
				if one.Updated.Before(since) || !yield(one, nil) {
					return
				}
			}
			if next == "" || next == after || len(part) == 0 {
				return
			}
			after, seen = next, seen+len(part)
			if err := rest(ctx, conversationsPace); err != nil {
				yield(Conversation{}, fmt.Errorf("graph %s: %w", edgeConversations, err))
				return
			}
		}
	}
}

// rest waits, or until ctx ends.
func rest(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// conversations reads n conversations behind a cursor, and returns where the list
// goes on, "" at its end. Meta's own link to there is not followed: the token goes
// nowhere but where the operator said.
func (c *Client) conversations(ctx context.Context, after string, n int) (part []Conversation, next string, err error) {
	query := url.Values{
		"platform": {"messenger"}, "limit": {strconv.Itoa(n)},
		"fields": {fmt.Sprintf("id,updated_time,participants,messages.limit(%d){id,created_time,from,to,message}", Detailed)},
	}
	if after != "" {
		query.Set("after", after)
	}
	var answer struct {
		Data   []wireConversation `json:"data"`
		Paging struct {
			Cursors struct {
				After string `json:"after"`
			} `json:"cursors"`
			Next string `json:"next"`
		} `json:"paging"`
	}
	err = c.do(ctx, call{
		method: http.MethodGet, edge: edgeConversations, path: c.page + "/" + edgeConversations, query: query, room: maxConversations,
	}, &answer)
	if err != nil {
		return nil, "", err
	}
	for _, w := range answer.Data {
		part = append(part, w.read(c.page))
	}
	if answer.Paging.Next != "" {
		next = answer.Paging.Cursors.After
	}
	return part, next, nil
}

// wireConversation is a conversation as Meta writes it. Names and addresses of
// people are not read.
//
//	{"id":"t_…","updated_time":"2026-11-21T12:00:00+0000","participants":{"data":[{"id":"PSID"},{"id":"PAGE"}]},
//	 "messages":{"data":[{"id":"m_…","created_time":"…","from":{"id":"PSID"},"to":{"data":[{"id":"PAGE"}]},"message":"hi"}]}}
type wireConversation struct {
	Updated      graphTime   `json:"updated_time"`
	Participants wirePersons `json:"participants"`
	Messages     struct {
		Data []struct {
			ID      messenger.MessageID `json:"id"`
			Created graphTime           `json:"created_time"`
			From    *wirePerson         `json:"from"` // not of those beyond the newest Detailed
			To      wirePersons         `json:"to"`
			Text    string              `json:"message"`
		} `json:"data"`
	} `json:"messages"`
}

type wirePerson struct {
	ID opaqueID `json:"id"`
}

type wirePersons struct {
	Data []wirePerson `json:"data"`
}

// other returns who is not the Page.
func (w wirePersons) other(page string) messenger.PSID {
	for _, p := range w.Data {
		if p.ID != "" && string(p.ID) != page {
			return messenger.PSID(p.ID)
		}
	}
	return ""
}

// read gives a conversation its meaning. What lacks an id, a time or its author is
// left out: nothing can be made of it.
func (w wireConversation) read(page string) Conversation {
	c := Conversation{Customer: w.Participants.other(page), Updated: w.Updated.Time}
	for _, m := range w.Messages.Data {
		if m.ID == "" || m.Created.IsZero() || m.From == nil || m.From.ID == "" {
			continue
		}
		said := Said{MID: m.ID, At: m.Created.Time, Page: string(m.From.ID) == page, Text: m.Text}
		if c.Customer == "" { // Meta left the participants out
			c.Customer = messenger.PSID(m.From.ID)
			if said.Page {
				c.Customer = m.To.other(page)
			}
		}
		c.Messages = append(c.Messages, said)
	}
	return c
}

// graphTime is a time as Graph writes it.
type graphTime struct{ time.Time }

// UnmarshalJSON reads a time; null and "" are none.
func (t *graphTime) UnmarshalJSON(b []byte) error {
	text := strings.Trim(string(b), `"`)
	if text == "null" || text == "" {
		return nil
	}
	at, err := time.Parse("2006-01-02T15:04:05-0700", text)
	t.Time = at.UTC()
	return err
}
