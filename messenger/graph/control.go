package graph

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"usher/messenger"
)

// Thread control by Meta's rules.
//
// https://developers.facebook.com/documentation/business-messaging/messenger-platform/conversation-routing
const (
	edgePass    = "pass_thread_control"
	edgeTake    = "take_thread_control"
	edgeRequest = "request_thread_control"
	edgeRelease = "release_thread_control"
	edgeExtend  = "extend_thread_control"
	edgeOwner   = "thread_owner"
)

// wireThread is what the control edges read; each uses some of it.
type wireThread struct {
	Recipient recipient       `json:"recipient"`
	Target    messenger.AppID `json:"target_app_id,omitempty"`
	Metadata  string          `json:"metadata,omitempty"`
	Duration  int64           `json:"duration,omitempty"` // seconds
}

// Pass gives control to an app ("" = the Page's default app). Whoever has control
// may, and anybody while the thread is idle; else ErrNotOwner. The new owner
// reads metadata, at most 1000 characters.
func (c *Client) Pass(ctx context.Context, psid messenger.PSID, app messenger.AppID, metadata string) error {
	return c.control(ctx, edgePass, psid, wireThread{Target: app, Metadata: metadata})
}

// Take takes control from whichever app has it. Only the default app may, and
// only where the Page allows it; else ErrTakeRefused. Taking what is ours already
// may fail: read Owner before believing any other error. The previous owner reads
// metadata, at most 1000 characters.
func (c *Client) Take(ctx context.Context, psid messenger.PSID, metadata string) error {
	return c.control(ctx, edgeTake, psid, wireThread{Metadata: metadata})
}

// Request asks the owner for control, on Pages without a default app. Success
// means that it was asked. The owner reads metadata, at most 1000 characters.
func (c *Client) Request(ctx context.Context, psid messenger.PSID, metadata string) error {
	return c.control(ctx, edgeRequest, psid, wireThread{Metadata: metadata})
}

// Release gives control to nobody: the thread is idle, and the customer's next
// message goes to the default app. Only the owner may; else ErrNotOwner.
func (c *Client) Release(ctx context.Context, psid messenger.PSID) error {
	return c.control(ctx, edgeRelease, psid, wireThread{})
}

// Extend keeps control for d from now, in whole seconds: at least 1 s, at most 7
// days. Without it, control lapses after 24 h in which the customer does nothing.
// Only the owner may; else ErrNotOwner.
func (c *Client) Extend(ctx context.Context, psid messenger.PSID, d time.Duration) error {
	if d < time.Second || d > 7*24*time.Hour {
		return bad(edgeExtend, "%v is not between 1s and 7 days", d)
	}
	return c.control(ctx, edgeExtend, psid, wireThread{Duration: int64(d / time.Second)})
}

func (c *Client) control(ctx context.Context, edge string, psid messenger.PSID, w wireThread) error {
	var err error
	if w.Recipient, err = to(edge, psid); err != nil {
		return err
	}
	if n := utf8.RuneCountInString(w.Metadata); n > maxMetadata {
		return bad(edge, "metadata has %d characters, at most %d are allowed", n, maxMetadata)
	}
	return c.order(ctx, http.MethodPost, edge, w.Recipient.ID, w)
}

// Owner is who has thread control.
type Owner struct {
	// App has control; "" when nobody has, or when Meta does not tell us.
	App messenger.AppID
	// Until is when control lapses; zero when Meta does not say.
	Until time.Time
	// Idle tells that nobody has control.
	Idle bool
	// Hidden tells that another app has control, and that we may not know which:
	// only the owner and the default app see it.
	Hidden bool
}

// Owner returns who has control of a thread.
func (c *Client) Owner(ctx context.Context, psid messenger.PSID) (Owner, error) {
	if _, err := to(edgeOwner, psid); err != nil {
		return Owner{}, err
	}
	// {"data":[{"thread_owner":{"app_id":"263902037430900","expiration":1764000000}}]}
	// An idle thread has no data.
	var answer struct {
		Data []struct {
			Owner struct {
				App   messenger.AppID `json:"app_id"`
				Until unixTime        `json:"expiration"`
			} `json:"thread_owner"`
		} `json:"data"`
	}
	if err := c.get(ctx, edgeOwner, psid, url.Values{"recipient": {string(psid)}}, &answer); err != nil {
		return Owner{}, err
	}
	var o Owner
	if len(answer.Data) > 0 {
		owner := answer.Data[0].Owner // one thread, one owner
		o.App, o.Until = owner.App, owner.Until.Time
	}
	o.Idle = o.App == "" && o.Until.IsZero()
	o.Hidden = o.App == "" && !o.Idle
	return o, nil
}

// unixTime is a time in Unix seconds, quoted or not; null and 0 are no time.
type unixTime struct{ time.Time }

// UnmarshalJSON reads the seconds.
func (u *unixTime) UnmarshalJSON(b []byte) error {
	text := strings.Trim(string(b), `"`)
	if text == "null" || text == "0" {
		return nil
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err == nil {
		u.Time = time.Unix(seconds, 0).UTC()
	}
	return err
}
