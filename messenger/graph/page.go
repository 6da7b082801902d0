package graph

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"usher/messenger"
)

const (
	edgePage          = "page"
	edgeFeatures      = "messaging_feature_status"
	edgeSubscriptions = "subscribed_apps"
	edgeUpload        = "message_attachments"
	edgeProfile       = "profile"
)

// Edges returns the names of the edges that a [Client] calls.
func Edges() []string {
	return []string{
		edgeMessages, edgePass, edgeTake, edgeRequest, edgeRelease, edgeExtend, edgeOwner, edgeMenu,
		edgePage, edgeFeatures, edgeSubscriptions, edgeUpload, edgeProfile, edgeConversations,
	}
}

// Ping reads the Page's id: the cheapest call that needs Graph, the token and the
// Page.
func (c *Client) Ping(ctx context.Context) error {
	var answer struct{}
	return c.do(ctx, call{method: http.MethodGet, edge: edgePage, path: c.page, query: url.Values{"fields": {"id"}}}, &answer)
}

// Features are what the Page's routing can do.
type Features struct {
	HopV2             bool `json:"hop_v2"`         // conversation routing
	MessengerMultiApp bool `json:"msgr_multi_app"` // several apps on Messenger
	InstagramMultiApp bool `json:"ig_multi_app"`   // several apps on Instagram
}

// Features returns what the Page's routing can do. Where Meta does not tell, the
// error is ErrPermission.
func (c *Client) Features(ctx context.Context) (Features, error) {
	// {"messaging_feature_status":{"hop_v2":true,"msgr_multi_app":true,"ig_multi_app":false},"id":"…"}
	var answer struct {
		Status *Features `json:"messaging_feature_status"`
	}
	err := c.do(ctx, call{
		method: http.MethodGet, edge: edgeFeatures, path: c.page,
		query: url.Values{"fields": {edgeFeatures}},
	}, &answer)
	switch {
	case err != nil:
		return Features{}, err
	case answer.Status == nil: // Graph leaves out what the token may not see
		return Features{}, &Error{Edge: edgeFeatures, Status: http.StatusOK, kind: ErrPermission, detail: "the answer lacks it"}
	}
	return *answer.Status, nil
}

// Subscription is an app that gets webhooks of the Page.
type Subscription struct {
	App    messenger.AppID `json:"id"`
	Name   string          `json:"name"`
	Fields []string        `json:"subscribed_fields"` // "messages", "messaging_handovers", …
}

// Subscriptions returns the apps that get webhooks of the Page, as far as the
// token may see them.
func (c *Client) Subscriptions(ctx context.Context) ([]Subscription, error) {
	var answer struct {
		Data []Subscription `json:"data"`
	}
	if err := c.get(ctx, edgeSubscriptions, "", nil, &answer); err != nil {
		return nil, err
	}
	return answer.Data, nil
}

// Subscribe sets the webhook fields of our app on the Page. They replace those
// that were set.
//
// https://developers.facebook.com/docs/graph-api/reference/page/subscribed_apps/
func (c *Client) Subscribe(ctx context.Context, fields []string) error {
	if len(fields) == 0 {
		return bad(edgeSubscriptions, "no fields")
	}
	return c.order(ctx, http.MethodPost, edgeSubscriptions, "", struct {
		Fields string `json:"subscribed_fields"`
	}{strings.Join(fields, ",")})
}

// fetchTimeout is how long Meta fetches media for, at most: 10 s, and 75 s for
// video.
const fetchTimeout = 75 * time.Second

// Upload lets Meta fetch a file by m.URL and returns the attachment id with which
// it can be sent for 90 days. It may be repeated: nobody sees it.
//
// https://developers.facebook.com/documentation/business-messaging/messenger-platform/reference/attachment-upload-api
func (c *Client) Upload(ctx context.Context, m Media) (string, error) {
	var f faults
	f.media(m)
	f.when(m.AttachmentID != "", "media: is uploaded already")
	if err := f.err("graph " + edgeUpload); err != nil {
		return "", err
	}
	var answer struct {
		ID opaqueID `json:"attachment_id"`
	}
	err := c.do(ctx, call{
		method: http.MethodPost, edge: edgeUpload, path: c.page + "/" + edgeUpload, extra: fetchTimeout,
		body: uploaded{wireMedia{wireAttachment{string(m.Type), wirePayload{URL: m.URL, Reusable: true}}}},
	}, &answer)
	if err == nil && answer.ID == "" {
		err = &Error{Edge: edgeUpload, Status: http.StatusOK, kind: ErrUnknownOutcome, detail: "the answer names no attachment"}
	}
	return string(answer.ID), err
}

// uploaded is what Upload posts.
type uploaded struct {
	Message wireMedia `json:"message"`
}

type wireMedia struct {
	Attachment wireAttachment `json:"attachment"`
}

func (u uploaded) words() []string { return []string{u.Message.Attachment.Payload.URL} }

// opaqueID is an id that Meta sends as a string or as a number.
type opaqueID string

// UnmarshalJSON reads either; null is no id.
func (id *opaqueID) UnmarshalJSON(b []byte) error {
	if b[0] == '"' {
		return json.Unmarshal(b, (*string)(id))
	}
	var n *int64 // digits never pass through a float
	if err := json.Unmarshal(b, &n); err != nil || n == nil {
		return err
	}
	*id = opaqueID(b)
	return nil
}

// Profile is what Meta tells of a customer; any of it may be empty.
type Profile struct {
	FirstName string `json:"first_name"`
	LastName  string `json:"last_name"`
	Locale    string `json:"locale"`      // "de_DE"
	Picture   string `json:"profile_pic"` // a URL that expires
}

// noProfileAccess is Meta's subcode for a field that the app may not read.
const noProfileAccess = 2018247

// Profile returns what Meta tells of a customer. It fails with ErrNoSuchPerson
// for accounts made with a phone number, and with ErrPermission for an app
// without Business Asset User Profile Access; a missing permission for the
// locale (pages_user_locale) alone only leaves Locale empty.
//
// https://developers.facebook.com/documentation/business-messaging/messenger-platform/identity/user-profile
func (c *Client) Profile(ctx context.Context, psid messenger.PSID) (Profile, error) {
	if _, err := to(edgeProfile, psid); err != nil {
		return Profile{}, err
	}
	if c.noLocale.Load() {
		return c.profile(ctx, psid, "first_name,last_name,profile_pic")
	}
	p, err := c.profile(ctx, psid, "first_name,last_name,profile_pic,locale")
	if e := (*Error)(nil); errors.As(err, &e) && (e.Subcode == noProfileAccess || e.Code == noProfileAccess) {
		// One field that may not be read fails them all.
		if p, err = c.profile(ctx, psid, "first_name,last_name,profile_pic"); err == nil {
			c.noLocale.Store(true)
		}
	}
	return p, err
}

func (c *Client) profile(ctx context.Context, psid messenger.PSID, fields string) (Profile, error) {
	var p Profile
	err := c.do(ctx, call{
		method: http.MethodGet, edge: edgeProfile, path: string(psid), person: psid,
		query: url.Values{"fields": {fields}},
	}, &p)
	return p, err
}
