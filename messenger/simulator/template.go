package simulator

import (
	"encoding/json"
	"net/url"
	"strings"
)

// The limits of templates, in characters where a text is meant.
//
// https://developers.facebook.com/documentation/business-messaging/messenger-platform/send-messages/templates
const (
	maxButtonText   = 640
	maxCards        = 10
	maxCardText     = 80
	minGridImages   = 2
	maxGridImages   = 6
	maxGridTitle    = 45
	maxReceiptItems = 100
)

// template is a template's payload. It says how the phone shows it, or why Meta
// does not take it; the line is what could be understood in either case.
type template interface {
	shown(m *Meta, line Line) (Line, *GraphError)
}

func (m *Meta) template(line Line, payload json.RawMessage) (Line, *GraphError) {
	var kind struct {
		Template string `json:"template_type"`
	}
	if err := json.Unmarshal(payload, &kind); err != nil {
		return line, bad("Param message[attachment][payload] is not what it should be: %v", err)
	}
	templates := map[string]template{
		"button": &buttonTemplate{}, "generic": &genericTemplate{}, "media": &mediaTemplate{}, "image_grid": &gridTemplate{},
		"receipt": &receiptTemplate{}, "coupon": &couponTemplate{}, "customer_feedback": &feedbackTemplate{},
	}
	t, ok := templates[kind.Template]
	if !ok {
		return line, bad("Param message[attachment][payload][template_type] %q: the simulator knows button, generic, media, image_grid, "+
			"receipt, coupon and customer_feedback", kind.Template)
	}
	line.Template = kind.Template
	if err := json.Unmarshal(payload, t); err != nil {
		return line, bad("Param message[attachment][payload] is not what it should be: %v", err)
	}
	return t.shown(m, line)
}

// text is a text with its bounds.
type text struct {
	name, value string
	least, most int // characters; most 0 is no bound
}

// bounded refuses the first text that is too short or too long.
func bounded(texts ...text) *GraphError {
	for _, t := range texts {
		if t.value == "" && t.least > 0 {
			return bad("Param message[attachment][payload]%s is required", t.name)
		}
		if n := len([]rune(t.value)); n < t.least || t.most > 0 && n > t.most {
			return bad("Length of param message[attachment][payload]%s must be from %d to %d, it is %d", t.name, t.least, t.most, n)
		}
	}
	return nil
}

// elements refuses an array of fewer or more elements.
func elements(name string, n, least, most int) *GraphError {
	if n < least || n > most {
		return bad("Param message[attachment][payload]%s needs %d to %d elements, it has %d", name, least, most, n)
	}
	return nil
}

type buttonTemplate struct {
	Text    string       `json:"text"`
	Buttons []sendButton `json:"buttons"`
}

func (b *buttonTemplate) shown(_ *Meta, line Line) (Line, *GraphError) {
	line.Text = b.Text
	if refused := bounded(text{"[text]", b.Text, 1, maxButtonText}); refused != nil {
		return line, refused
	}
	if refused := elements("[buttons]", len(b.Buttons), 1, maxButtons); refused != nil {
		return line, refused
	}
	var refused *GraphError
	line.Buttons, refused = buttons(b.Buttons)
	return line, refused
}

type genericTemplate struct {
	Elements []sendCard `json:"elements"`
}

type sendCard struct {
	Title         string       `json:"title"`
	Subtitle      string       `json:"subtitle"`
	ImageURL      string       `json:"image_url"`
	DefaultAction *sendButton  `json:"default_action"`
	Buttons       []sendButton `json:"buttons"`
}

func (g *genericTemplate) shown(_ *Meta, line Line) (Line, *GraphError) {
	if refused := elements("[elements]", len(g.Elements), 1, maxCards); refused != nil {
		return line, refused
	}
	for _, e := range g.Elements {
		card, refused := e.shown()
		line.Cards = append(line.Cards, card)
		if refused != nil {
			return line, refused
		}
	}
	return line, nil
}

func (e sendCard) shown() (Card, *GraphError) {
	card := Card{Title: e.Title, Subtitle: e.Subtitle, ImageURL: e.ImageURL}
	if e.DefaultAction != nil {
		card.URL = e.DefaultAction.URL
	}
	if e.Title == "" || e.Subtitle == "" && e.ImageURL == "" && e.DefaultAction == nil && len(e.Buttons) == 0 {
		return card, bad("A generic element needs a title and at least one other field")
	}
	if refused := bounded(text{"[elements][title]", e.Title, 1, maxCardText}, text{"[elements][subtitle]", e.Subtitle, 0, maxCardText}); refused != nil {
		return card, refused
	}
	var refused *GraphError
	card.Buttons, refused = buttons(e.Buttons)
	return card, refused
}

// mediaTemplate has one image or video: uploaded before, or already on Facebook.
type mediaTemplate struct {
	Elements []struct {
		MediaType    string          `json:"media_type"`
		AttachmentID json.RawMessage `json:"attachment_id"`
		URL          string          `json:"url"`
		Buttons      []sendButton    `json:"buttons"`
	} `json:"elements"`
}

func (t *mediaTemplate) shown(m *Meta, line Line) (Line, *GraphError) {
	if refused := elements("[elements]", len(t.Elements), 1, 1); refused != nil {
		return line, refused
	}
	e := t.Elements[0]
	line.Attachment, line.URL = e.MediaType, e.URL
	id := flexible(e.AttachmentID)
	switch {
	case e.MediaType != "image" && e.MediaType != "video":
		return line, bad("Param elements[media_type] must be one of {IMAGE, VIDEO}")
	case (id == "") == (e.URL == ""):
		return line, bad("A media element needs either an attachment_id or a url")
	case id != "":
		var refused *GraphError
		if line.URL, refused = m.uploaded(id, e.MediaType); refused != nil {
			return line, refused
		}
	case !onFacebook(e.URL):
		return line, bad("Param elements[url] must be a Facebook URL")
	}
	var refused *GraphError
	line.Buttons, refused = buttons(e.Buttons)
	return line, refused
}

func onFacebook(address string) bool {
	u, err := url.Parse(address)
	return err == nil && u.Scheme == "https" && (u.Hostname() == "facebook.com" || strings.HasSuffix(u.Hostname(), ".facebook.com"))
}

// gridTemplate has two to six images. An image that sends a postback when it is
// tapped is accepted, but cannot be tapped here.
type gridTemplate struct {
	Elements []struct {
		Title    string       `json:"title"`
		Subtitle string       `json:"subtitle"`
		Buttons  []sendButton `json:"buttons"`
		Images   []struct {
			URL    string      `json:"url"`
			Hero   bool        `json:"is_hero_image"`
			Action *sendButton `json:"action"`
		} `json:"images"`
	} `json:"elements"`
}

func (t *gridTemplate) shown(_ *Meta, line Line) (Line, *GraphError) {
	if refused := elements("[elements]", len(t.Elements), 1, 1); refused != nil {
		return line, refused
	}
	e := t.Elements[0]
	line.Text = strings.TrimSpace(e.Title + "\n" + e.Subtitle)
	if refused := bounded(text{"[elements][title]", e.Title, 0, maxGridTitle}, text{"[elements][subtitle]", e.Subtitle, 0, maxCardText}); refused != nil {
		return line, refused
	}
	if refused := elements("[elements][images]", len(e.Images), minGridImages, maxGridImages); refused != nil {
		return line, refused
	}
	heroes := 0
	for _, i := range e.Images {
		card := Card{ImageURL: i.URL}
		if refused := fetchable(i.URL); refused != nil {
			return line, refused
		}
		if i.Action != nil {
			if refused := i.Action.linksOrPosts(); refused != nil {
				return line, refused
			}
			card.URL = i.Action.URL
		}
		if i.Hero {
			heroes++
		}
		line.Cards = append(line.Cards, card)
	}
	if heroes > 1 {
		return line, bad("Param elements[images] has more than one is_hero_image")
	}
	for _, b := range e.Buttons {
		if refused := b.linksOrPosts(); refused != nil {
			return line, refused
		}
	}
	var refused *GraphError
	line.Buttons, refused = buttons(e.Buttons)
	return line, refused
}

// linksOrPosts wants a button, or an action, of the two types that a grid may have.
func (b sendButton) linksOrPosts() *GraphError {
	if b.Type != "web_url" && b.Type != "postback" {
		return bad("Param type of an image grid's button or action must be one of {POSTBACK, WEB_URL}")
	}
	return b.check()
}

// receiptTemplate confirms an order. That order numbers are unique is not checked.
type receiptTemplate struct {
	Recipient string `json:"recipient_name"`
	Order     string `json:"order_number"`
	Currency  string `json:"currency"`
	Payment   string `json:"payment_method"`
	Summary   struct {
		Total json.Number `json:"total_cost"`
	} `json:"summary"`
	Elements []struct {
		Title    string      `json:"title"`
		Subtitle string      `json:"subtitle"`
		ImageURL string      `json:"image_url"`
		Price    json.Number `json:"price"`
	} `json:"elements"`
	Address *struct {
		Street  string `json:"street_1"`
		City    string `json:"city"`
		Code    string `json:"postal_code"`
		State   string `json:"state"`
		Country string `json:"country"`
	} `json:"address"`
	Adjustments []struct {
		Name   string      `json:"name"`
		Amount json.Number `json:"amount"`
	} `json:"adjustments"`
}

func (t *receiptTemplate) shown(_ *Meta, line Line) (Line, *GraphError) {
	line.Text = strings.TrimSpace(t.Order + "\n" + string(t.Summary.Total) + " " + t.Currency)
	needs := []text{
		{"[recipient_name]", t.Recipient, 1, 0},
		{"[order_number]", t.Order, 1, 0},
		{"[currency]", t.Currency, 1, 0},
		{"[payment_method]", t.Payment, 1, 0},
		{"[summary][total_cost]", string(t.Summary.Total), 1, 0},
	}
	if a := t.Address; a != nil {
		needs = append(needs, text{"[address][street_1]", a.Street, 1, 0}, text{"[address][city]", a.City, 1, 0},
			text{"[address][postal_code]", a.Code, 1, 0}, text{"[address][state]", a.State, 1, 0}, text{"[address][country]", a.Country, 1, 0})
	}
	for _, e := range t.Elements {
		line.Cards = append(line.Cards, Card{Title: e.Title, Subtitle: e.Subtitle, ImageURL: e.ImageURL})
		needs = append(needs, text{"[elements][title]", e.Title, 1, 0}, text{"[elements][price]", string(e.Price), 1, 0})
	}
	for _, a := range t.Adjustments {
		needs = append(needs, text{"[adjustments][name]", a.Name, 1, 0}, text{"[adjustments][amount]", string(a.Amount), 1, 0})
	}
	if refused := elements("[elements]", len(t.Elements), 0, maxReceiptItems); refused != nil {
		return line, refused
	}
	return line, bounded(needs...)
}

// couponTemplate has a code, which the phone reveals, or a link, or both.
//
// https://developers.facebook.com/documentation/business-messaging/messenger-platform/send-messages/template/coupon
type couponTemplate struct {
	Title    string `json:"title"`
	Subtitle string `json:"subtitle"`
	Code     string `json:"coupon_code"`
	URL      string `json:"coupon_url"`
	URLTitle string `json:"coupon_url_button_title"`
	Before   string `json:"coupon_pre_message"`
	ImageURL string `json:"image_url"`
}

func (t *couponTemplate) shown(_ *Meta, line Line) (Line, *GraphError) {
	line.Text = t.Before
	card := Card{Title: t.Title, Subtitle: or(t.Subtitle, "Terms may apply."), ImageURL: t.ImageURL}
	if t.URL != "" {
		card.Buttons = []Button{{Title: or(t.URLTitle, "Shop now"), URL: t.URL}}
	}
	line.Cards = []Card{card}
	switch {
	case t.Title == "":
		return line, bad("Param message[attachment][payload][title] is required")
	case t.Code == "" && t.URL == "":
		return line, bad("A coupon needs a coupon_code or a coupon_url")
	case t.URL != "":
		return line, fetchable(t.URL)
	}
	return line, nil
}
