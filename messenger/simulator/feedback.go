package simulator

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"usher/messenger"
)

// Feedback is the form that a customer_feedback template opens: one question, and
// perhaps a text beside it.
//
// https://developers.facebook.com/docs/messenger-platform/send-messages/templates/customer-feedback-template
type Feedback struct {
	Button string `json:"button"` // opens it
	// ID is the app's name for the question, under which the answer comes back.
	ID    string `json:"id"`
	Type  string `json:"type"` // csat, nps, ces or free_form
	Title string `json:"title,omitempty"`
	// Option is what is tapped: one_to_five, five_stars, five_emojis, zero_to_ten or
	// one_to_seven; "" for free_form. Label names its ends: neg_pos, hard_easy,
	// dis_sat, unlike_like, poor_great or none.
	Option string `json:"option,omitempty"`
	Label  string `json:"label,omitempty"`
	// FollowUp stands in the field for a text of up to 400 characters; "" is no field.
	FollowUp string `json:"follow_up,omitempty"`
	// Until is when the form can no longer be filled in. Answered tells that it was.
	Until    time.Time `json:"until"`
	Answered bool      `json:"answered,omitempty"`
}

// score is a way to ask: its options and what it asks by default.
type score struct {
	options []string // the first one is the default
	label   string   // by default
	title   string   // by default, of a business
}

func scores() map[string]score {
	return map[string]score{
		"csat":      {[]string{"five_stars", "one_to_five", "five_emojis"}, "neg_pos", "How would you rate your experience with {business}?"},
		"nps":       {[]string{"zero_to_ten"}, "unlike_like", "How likely are you to recommend {business} to a friend?"},
		"ces":       {[]string{"one_to_seven"}, "hard_easy", "Overall, how easy was it to solve your problem today?"},
		"free_form": {},
	}
}

func scoreLabels() []string {
	return []string{"neg_pos", "hard_easy", "dis_sat", "unlike_like", "poor_great", "none"}
}

type feedbackTemplate struct {
	Title    string `json:"title"`
	Subtitle string `json:"subtitle"`
	Button   string `json:"button_title"`
	Screens  []struct {
		Questions []sendQuestion `json:"questions"`
	} `json:"feedback_screens"`
	Privacy struct {
		URL string `json:"url"`
	} `json:"business_privacy"`
	Days *int `json:"expires_in_days"`
}

type sendQuestion struct {
	ID       string `json:"id"`
	Type     string `json:"type"`
	Title    string `json:"title"`
	Label    string `json:"score_label"`
	Option   string `json:"score_option"`
	FollowUp *struct {
		Type        string `json:"type"`
		Placeholder string `json:"placeholder"`
	} `json:"follow_up"`
}

func (t *feedbackTemplate) shown(m *Meta, line Line) (Line, *GraphError) {
	line.Text = strings.TrimSpace(t.Title + "\n" + t.Subtitle)
	if refused := bounded(text{"[title]", t.Title, 1, 65}, text{"[subtitle]", t.Subtitle, 1, 80}, text{"[button_title]", t.Button, 1, maxTitle}); refused != nil {
		return line, refused
	}
	if refused := linkless(t.Title, t.Subtitle, t.Button); refused != nil {
		return line, refused
	}
	if refused := elements("[feedback_screens]", len(t.Screens), 1, 1); refused != nil {
		return line, refused
	}
	if refused := elements("[feedback_screens][questions]", len(t.Screens[0].Questions), 1, 1); refused != nil {
		return line, refused
	}
	form, refused := t.Screens[0].Questions[0].form(m.opt.PageName)
	if refused != nil {
		return line, refused
	}
	days := 1
	if t.Days != nil {
		days = *t.Days
	}
	switch {
	case t.Privacy.URL == "" || fetchable(t.Privacy.URL) != nil:
		return line, bad("Param message[attachment][payload][business_privacy][url] must be a URL")
	case days < 1 || days > 7:
		return line, bad("Param message[attachment][payload][expires_in_days] must be from 1 to 7")
	}
	form.Button, form.Until = t.Button, m.now().Add(time.Duration(days)*day)
	line.Feedback = &form
	return line, nil
}

// form checks a question, and fills in what Meta does where it is silent.
func (q sendQuestion) form(business string) (f Feedback, _ *GraphError) {
	kind, ok := scores()[q.Type]
	if !ok {
		return f, bad("Param questions[type] must be one of {CSAT, NPS, CES, FREE_FORM}")
	}
	if refused := q.check(kind); refused != nil {
		return f, refused
	}
	f = Feedback{ID: q.ID, Type: q.Type, Title: or(q.Title, strings.ReplaceAll(kind.title, "{business}", business))}
	if len(kind.options) > 0 {
		f.Option, f.Label = or(q.Option, kind.options[0]), or(q.Label, kind.label)
	}
	if q.FollowUp != nil {
		f.FollowUp = or(q.FollowUp.Placeholder, "Give additional feedback")
	}
	return f, nil
}

// check knows the limits of a question.
func (q sendQuestion) check(kind score) *GraphError {
	placeholder := ""
	switch {
	case !regexp.MustCompile(`^[A-Za-z0-9_]{1,80}$`).MatchString(q.ID):
		return bad("Param questions[id] must be 1 to 80 letters, digits and underscores")
	case q.Option != "" && !slices.Contains(kind.options, q.Option):
		return bad("Param questions[score_option] %q is not one for %s", q.Option, q.Type)
	case q.Label != "" && (len(kind.options) == 0 || !slices.Contains(scoreLabels(), q.Label)):
		return bad("Param questions[score_label] must be one of {%s}, beside a score", strings.Join(scoreLabels(), ", "))
	case q.FollowUp == nil:
	case q.FollowUp.Type != "free_form" || len(kind.options) == 0:
		return bad("Param questions[follow_up][type] must be FREE_FORM, beside a score")
	default:
		placeholder = q.FollowUp.Placeholder
	}
	if q.Title != "" {
		if refused := bounded(text{"[questions][title]", q.Title, 5, 85}); refused != nil {
			return refused
		}
	}
	if refused := bounded(text{"[follow_up][placeholder]", placeholder, 0, 65}); refused != nil {
		return refused
	}
	return linkless(q.Title, placeholder)
}

// linkless refuses texts with a link in them.
func linkless(texts ...string) *GraphError {
	if slices.ContainsFunc(texts, regexp.MustCompile(`(?i)https?://|\bwww\.`).MatchString) {
		return bad("The texts of a feedback template may not contain URLs")
	}
	return nil
}

// maxFeedback is the longest free text, in characters.
const maxFeedback = 400

// Rates fills in the newest feedback form that is still open: the answer is a score
// within the form's options, or the text of a free form; comment is the text beside
// a score, "" for none. The apps are told without a time, as in Meta's sample.
func (c *Customer) Rates(answer, comment string) error {
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	for i := range slices.Backward(c.t.lines) {
		l := &c.t.lines[i]
		if l.Feedback == nil || l.Feedback.Answered || !c.m.now().Before(l.Feedback.Until) {
			continue
		}
		form := *l.Feedback // whoever has seen the line keeps the form as it was
		if err := form.takes(answer, comment); err != nil {
			return err
		}
		form.Answered = true
		l.Feedback = &form
		rating := answeredRating{Type: form.Type, Payload: answer}
		if comment != "" {
			rating.FollowUp = &answeredRating{Type: "free_form", Payload: comment}
		}
		told := answers{Screens: []answeredScreen{{Questions: map[string]answeredRating{form.ID: rating}}}}
		c.tellEach("rates", answer, event{kind: messenger.KindFeedback, field: fieldFeedback, timeless: true, item: item{Feedback: &told}})
		return nil
	}
	return fmt.Errorf("rate %q: %w: no form is open", answer, ErrNotThere)
}

// takes refuses what the form does not let her enter.
func (f Feedback) takes(answer, comment string) error {
	lowest, highest := 1, 5
	switch f.Option {
	case "zero_to_ten":
		lowest, highest = 0, 10
	case "one_to_seven":
		highest = 7
	}
	score, err := strconv.Atoi(answer)
	switch {
	case f.Type == "free_form" && (answer == "" || utf8.RuneCountInString(answer) > maxFeedback):
		return fmt.Errorf("rate: %w: the text has 1 to %d characters", ErrNotThere, maxFeedback)
	case f.Type != "free_form" && (err != nil || strconv.Itoa(score) != answer || score < lowest || score > highest):
		return fmt.Errorf("rate %q: %w: the form has %d to %d", answer, ErrNotThere, lowest, highest)
	case comment != "" && f.FollowUp == "":
		return fmt.Errorf("rate with a comment: %w: the form asks for none", ErrNotThere)
	case utf8.RuneCountInString(comment) > maxFeedback:
		return fmt.Errorf("rate with a comment: %w: it has up to %d characters", ErrNotThere, maxFeedback)
	}
	return nil
}
