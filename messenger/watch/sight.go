package watch

// Sight is something that an operator may want to know.
type Sight string

// The sights; the first five are alarms.
const (
	Unsubscribed Sight = "unsubscribed" // Meta had unsubscribed us, or a field was missing
	Unread       Sight = "unread"       // Meta does not let us look, subscribe or read
	Silent       Sight = "silent"       // nothing is delivered for longer than usual
	NotStored    Sight = "not_stored"   // deliveries cannot be stored, for minutes
	Cut          Sight = "cut"          // more was missed than is looked for
	Resubscribed Sight = "resubscribed" // we have subscribed
	Backfilled   Sight = "backfilled"   // what was missed has been looked for
)

// Sights returns all sights.
func Sights() []Sight {
	return []Sight{Unsubscribed, Unread, Silent, NotStored, Cut, Resubscribed, Backfilled}
}

// Mend says what to do about an alarm; "" of what is none.
func (s Sight) Mend() string {
	switch s {
	case Unsubscribed:
		return "find out why Meta was not answered for an hour, or who else sets the Page's subscriptions; usher check --live shows them"
	case Unread:
		return "the token needs pages_manage_metadata, pages_messaging and pages_read_engagement: see usher check --live"
	case Silent:
		return "see that the webhook's URL can be reached from outside, that its certificate is valid, and that the App Dashboard does not say that webhooks are disabled"
	case NotStored:
		return "bring Redis back: the reason stands beside Delivery not stored; after an hour Meta unsubscribes the app"
	case Cut:
		return "look through the older conversations in the Page Inbox: nobody has answered what was missed in them"
	case Resubscribed, Backfilled:
	}
	return ""
}

// alarm tells once of what is wrong, until it is over.
func (p *page) alarm(s Sight, err error) {
	p.mu.Lock()
	raised := p.raised[s]
	p.raised[s] = true
	p.mu.Unlock()
	if raised {
		return
	}
	p.Log.Error().Err(err).Str("page", string(p.id)).Str("alarm", string(s)).Str("mend", s.Mend()).Msg("Deliveries need an operator")
	p.Observe(p.id, s)
}

// is tells whether an alarm was raised that is not over.
func (p *page) is(s Sight) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.raised[s]
}

// leave forgets the alarms that are another process's business by now.
func (p *page) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for s := range p.raised {
		if s != NotStored {
			delete(p.raised, s)
		}
	}
}

// over ends an alarm.
func (p *page) over(s Sight) {
	p.mu.Lock()
	raised := p.raised[s]
	delete(p.raised, s)
	p.mu.Unlock()
	if raised {
		p.Log.Info().Str("page", string(p.id)).Str("alarm", string(s)).Msg("Alarm is over")
	}
}
