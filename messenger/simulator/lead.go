package simulator

import (
	"fmt"
	"strings"

	"usher/messenger"
)

// LeadAd is an ad whose questions Meta's lead app asks in the thread.
//
// https://developers.facebook.com/documentation/business-messaging/messenger-platform/conversation-routing/messenger-lead-ads
type LeadAd struct {
	ID        string
	Questions []string // at least one
	// App gets the thread afterwards, for Days as in [Ad]. Empty lets it fall idle,
	// and nobody is told.
	App  messenger.AppID
	Days int
	// Summary sends App a message with all answers, which no phone shows, when every
	// question has been answered.
	Summary bool
}

// leadForm is a lead ad's flow under way.
type leadForm struct {
	ad      LeadAd
	answers []string
}

// What a pass from the lead app says.
const (
	leadComplete   = "messenger_lead_gen_complete"
	leadIncomplete = "messenger_lead_gen_incomplete"
)

// filling tells whether the lead app fills in a form with her. Meanwhile apps hear
// nothing and may not send (code 2018321); the Page Inbox may, and ends it.
func (m *Meta) filling(t *thread) bool { return t.lead != nil && m.owner(t) == messenger.LeadGen }

// OpensLeadForm taps a lead ad: the lead app takes control without a word to
// anybody and asks the first question. What she writes then are answers.
func (c *Customer) OpensLeadForm(ad LeadAd) error {
	if len(ad.Questions) == 0 {
		return fmt.Errorf("open lead form %q: %w: it has no questions", ad.ID, ErrNotThere)
	}
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	if ad.App != "" {
		c.m.connect(ad.App)
	}
	c.m.give(c.t, messenger.LeadGen)
	c.t.lead = &leadForm{ad: ad}
	c.m.say(c.t, Line{App: messenger.LeadGen, Text: ad.Questions[0]}, nil)
	c.m.record(Entry{Act: &Act{Who: "customer", What: "opens a lead form", Text: ad.ID, PSID: c.t.psid}})
	return nil
}

// LeavesLeadForm breaks a lead ad's flow off: the thread goes where it would have
// gone, as incomplete.
func (c *Customer) LeavesLeadForm() error {
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	if !c.m.filling(c.t) {
		return fmt.Errorf("leave a lead form: %w", ErrNotThere)
	}
	c.m.endLead(c.t, leadIncomplete)
	c.m.record(Entry{Act: &Act{Who: "customer", What: "leaves a lead form", PSID: c.t.psid}})
	return nil
}

// FillsLeadForm opens a lead form and answers its questions, one after the other.
// With fewer answers than questions it stays open.
func (c *Customer) FillsLeadForm(ad LeadAd, answers ...string) error {
	if err := c.OpensLeadForm(ad); err != nil {
		return err
	}
	for _, text := range answers[:min(len(answers), len(ad.Questions))] {
		if _, err := c.Says(text); err != nil {
			return err
		}
	}
	return nil
}

// asks takes an answer and asks the next question, if there is one.
func (m *Meta) asks(t *thread, answer string) {
	form := t.lead
	form.answers = append(form.answers, answer)
	if n := len(form.answers); n < len(form.ad.Questions) {
		m.say(t, Line{App: messenger.LeadGen, Text: form.ad.Questions[n]}, nil)
		return
	}
	m.endLead(t, leadComplete)
}

// endLead passes the thread on; then come the answers as a referral, and then as
// a message that nobody wrote.
func (m *Meta) endLead(t *thread, how string) {
	ad, answers := t.lead.ad, t.lead.answers
	if ad.App == "" {
		m.give(t, "")
		return
	}
	m.pass(t, ad.App, how)
	t.span = m.adSpan(ad.Days)
	m.renew(t, t.span)
	filled := lead{Data: []leadAnswer{}}
	summary := []string{"Lead summary:"}
	for i, text := range answers {
		filled.Data = append(filled.Data, leadAnswer{Question: ad.Questions[i], Answer: text})
		summary = append(summary, ad.Questions[i]+": "+text)
	}
	kind := "LEAD_COMPLETE"
	if how == leadIncomplete {
		kind = "LEAD_INCOMPLETE"
	}
	m.tellReferral(t, referral{AdID: ad.ID, Source: sourceAd, Type: kind}, &filled)
	if ad.Summary && how == leadComplete {
		mid := messenger.MessageID(m.next("m_"))
		m.tell(m.find(ad.App), t, event{
			kind: messenger.KindMessage, field: fieldMessages, mid: mid, inSeconds: true,
			item: item{
				Message: &message{MID: mid, Text: strings.Join(summary, "\n")},
				Hop:     &hopContext{AppID: m.appID(ad.App), Metadata: how},
			},
		})
	}
}
