package graph

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

const edgeMenu = "messenger_profile"

// MessengerProfile is what the Page shows before and beside a conversation. A nil
// field is not there. The JSON form is Meta's. Meta allows 10 calls in 10 minutes.
//
// https://developers.facebook.com/documentation/business-messaging/messenger-platform/reference/messenger-profile-api
type MessengerProfile struct {
	GetStarted *GetStarted `json:"get_started,omitempty"`
	Greeting   []Greeting  `json:"greeting,omitempty"`
	// IceBreakers are shown instead of Get Started.
	IceBreakers []IceBreakers `json:"ice_breakers,omitempty"`
	// Menu needs Get Started. It may take 24 hours to show.
	Menu []Menu `json:"persistent_menu,omitempty"`
}

// GetStarted is the button that a new customer taps; Payload is 1 to 1000
// characters.
type GetStarted struct {
	Payload string `json:"payload"`
}

// Greeting is the text on the welcome screen, 1 to 160 characters. Locale is
// "default" or "de_DE"; "default" must be among them.
type Greeting struct {
	Locale string `json:"locale"`
	Text   string `json:"text"`
}

// IceBreakers are 1 to 4 questions to begin with, for a locale.
type IceBreakers struct {
	Questions []IceBreaker `json:"call_to_actions"`
	Locale    string       `json:"locale"`
}

// IceBreaker is a question of at most 80 characters and the payload of its
// postback, at most 1000.
type IceBreaker struct {
	Question string `json:"question"`
	Payload  string `json:"payload"`
}

// Menu is the persistent menu for a locale: at most 20 items, with titles of at
// most 30 characters.
type Menu struct {
	Locale string `json:"locale"`
	// NoComposer takes the customer's keyboard away.
	NoComposer bool     `json:"composer_input_disabled"`
	Items      []Button `json:"call_to_actions"`
}

// ProfileField is a part of the MessengerProfile.
type ProfileField string

// The fields.
const (
	FieldGetStarted  ProfileField = "get_started"
	FieldGreeting    ProfileField = "greeting"
	FieldIceBreakers ProfileField = "ice_breakers"
	FieldMenu        ProfileField = "persistent_menu"
)

const (
	maxGreeting    = 160
	maxIceBreakers = 4
	maxQuestion    = 80
	maxMenuItems   = 20
	maxMenuTitle   = 30
)

// Validate returns every fault that Meta would refuse p for, as an error that is
// ErrBadParameter; nil if there is none.
func (p MessengerProfile) Validate() error {
	var f faults
	if p.GetStarted != nil {
		f.length("get started: payload", p.GetStarted.Payload, 1, maxPayload)
	}
	var greetings, breakers, menus []string
	for i, g := range p.Greeting {
		greetings = append(greetings, g.Locale)
		f.length(fmt.Sprintf("greeting %d: text", i+1), g.Text, 1, maxGreeting)
	}
	for i, b := range p.IceBreakers {
		breakers = append(breakers, b.Locale)
		var of faults
		of.when(len(b.Questions) == 0, "no questions")
		of.most(len(b.Questions), maxIceBreakers, "questions")
		for _, q := range b.Questions {
			of.length("question", q.Question, 1, maxQuestion)
			of.length("payload", q.Payload, 1, maxPayload)
		}
		f.within("ice breakers", i+1, of)
	}
	for i, m := range p.Menu {
		menus = append(menus, m.Locale)
		var of faults
		of.when(len(m.Items) == 0 && !m.NoComposer, "no items")
		of.most(len(m.Items), maxMenuItems, "items")
		for j, item := range m.Items {
			of.within("item", j+1, item.faults(maxMenuTitle))
		}
		f.within("menu", i+1, of)
	}
	f.locales("greeting", greetings)
	f.locales("ice breakers", breakers)
	f.locales("menu", menus)
	return f.err("messenger profile")
}

// locales checks that there is one for everybody, and no two for anybody.
func (f *faults) locales(what string, locales []string) {
	f.when(len(locales) > 0 && !slices.Contains(locales, "default"), what+": none has the locale default")
	slices.Sort(locales)
	f.when(len(slices.Compact(slices.Clone(locales))) != len(locales), what+": two have the same locale")
}

// MessengerProfile returns the given fields, or all. Those that are not set are nil.
func (c *Client) MessengerProfile(ctx context.Context, fields ...ProfileField) (MessengerProfile, error) {
	if len(fields) == 0 {
		fields = []ProfileField{FieldGetStarted, FieldGreeting, FieldIceBreakers, FieldMenu}
	}
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = string(f)
	}
	var answer struct {
		Data []MessengerProfile `json:"data"` // one, or none where nothing is set
	}
	err := c.get(ctx, edgeMenu, "", url.Values{"fields": {strings.Join(names, ",")}}, &answer)
	if err != nil || len(answer.Data) == 0 {
		return MessengerProfile{}, err
	}
	return answer.Data[0], nil
}

// SetMessengerProfile sets the fields of p that are not nil and leaves the others.
// An invalid p is not sent.
func (c *Client) SetMessengerProfile(ctx context.Context, p MessengerProfile) error {
	if err := p.Validate(); err != nil {
		return err
	}
	if p.GetStarted == nil && len(p.Greeting)+len(p.IceBreakers)+len(p.Menu) == 0 {
		return bad(edgeMenu, "nothing to set")
	}
	return c.order(ctx, http.MethodPost, edgeMenu, "", p)
}

// DeleteMessengerProfile removes fields. Get Started cannot go before the menu.
func (c *Client) DeleteMessengerProfile(ctx context.Context, fields ...ProfileField) error {
	if len(fields) == 0 {
		return bad(edgeMenu, "nothing to delete")
	}
	return c.order(ctx, http.MethodDelete, edgeMenu, "", struct {
		Fields []ProfileField `json:"fields"`
	}{fields})
}
