package simulator

import (
	"encoding/json"
	"fmt"
	"slices"

	"usher/messenger"
)

// What a customer can tap instead of writing. Each fails with ErrNotThere where
// her phone does not show it, and with ErrLink where it opens a page.

// TapsQuickReply taps a quick reply of the last message. It fails with
// ErrNotThere when there is none of that title: they vanish with the next
// message of either side.
func (c *Customer) TapsQuickReply(title string) (messenger.MessageID, error) {
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	if n := len(c.t.lines); n > 0 {
		for _, q := range c.t.lines[n-1].QuickReplies {
			if q.Title == title {
				return c.writes("taps quick reply", Line{Text: title}, message{Text: title, QuickReply: &tapped{Payload: q.Payload}}), nil
			}
		}
	}
	return "", fmt.Errorf("tap quick reply %q: %w", title, ErrNotThere)
}

// TapsButton taps the newest button of that title, of any message or card.
func (c *Customer) TapsButton(title string) (messenger.MessageID, error) {
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	for _, l := range slices.Backward(c.t.lines) {
		all := slices.Clone(l.Buttons)
		for _, card := range l.Cards {
			all = append(all, card.Buttons...)
		}
		for _, b := range all {
			if b.Title == title {
				if b.Payload == "" {
					return "", fmt.Errorf("tap button %q: %w", title, ErrLink)
				}
				return c.posts(title, b.Payload, l.App, false), nil
			}
		}
	}
	return "", fmt.Errorf("tap button %q: %w", title, ErrNotThere)
}

// TapsMenu taps an item of the persistent menu, see [Phone].
func (c *Customer) TapsMenu(title string) (messenger.MessageID, error) {
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	items, by := c.m.menuOf(c.t)
	for _, b := range items {
		if b.Title == title {
			if b.Type == "web_url" {
				return "", fmt.Errorf("tap menu item %q: %w", title, ErrLink)
			}
			return c.posts(title, b.Payload, by, true), nil
		}
	}
	return "", fmt.Errorf("tap menu item %q: %w", title, ErrNotThere)
}

// Starts taps Get Started, which is there before the first message only, and only
// without ice breakers.
func (c *Customer) Starts() (messenger.MessageID, error) {
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	if !c.m.startable(c.t) {
		return "", fmt.Errorf("tap Get Started: %w", ErrNotThere)
	}
	set := c.m.profile.fields[getStarted]
	var button struct {
		Payload string `json:"payload"`
	}
	if err := json.Unmarshal(set.value, &button); err != nil {
		return "", fmt.Errorf("tap Get Started: %w", err)
	}
	return c.posts("Get Started", button.Payload, set.by, false), nil
}

// TapsIceBreaker taps one of the questions that are there before the first message.
func (c *Customer) TapsIceBreaker(text string) (messenger.MessageID, error) {
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	if len(c.t.lines) == 0 {
		for _, q := range c.m.questionsTo(c.t) {
			if q.Question == text {
				return c.posts(text, q.Payload, c.m.profile.fields[starters].by, false), nil
			}
		}
	}
	return "", fmt.Errorf("tap ice breaker %q: %w", text, ErrNotThere)
}

// posts sends a postback. The app whose button it is gets it with its payload,
// on the messaging channel whoever has control; others get it without.
func (c *Customer) posts(title, payload string, by messenger.AppID, ofMenu bool) messenger.MessageID {
	l := Line{Text: title}
	mid := c.shows(&l)
	c.m.customerActs(c.t)
	came := c.t.arrived()
	c.m.tellAll(c.t, func(a *app, channel Channel) (event, Channel) {
		p := postback{MID: mid, Title: title, Referral: came}
		hidden := ofMenu && c.m.opt.Doubts.MenuHidden && channel == Standby
		if a.id == by && !hidden {
			p.Payload, channel = payload, Messaging
		}
		return event{kind: messenger.KindPostback, field: fieldPostbacks, mid: mid, item: item{Postback: &p}}, channel
	})
	c.m.record(Entry{Act: &Act{Who: "customer", What: "taps", Text: title, PSID: c.t.psid, MID: mid}})
	return mid
}
