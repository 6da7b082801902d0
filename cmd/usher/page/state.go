// Package page is the demo's page: a phone, a Page Inbox, and between them what
// Usher sees. It shows a stage and acts on it; it decides nothing.
//
//	GET  /        the page
//	GET  /events  server-sent events: "state" is a State, whole, whenever something changed;
//	              "log" an Entry, with its Seq as the event's id, so that a reader who comes back misses none
//	POST /act     an Act; 204, or 400, 404 or 409 with {"error": "…"} for people
//
// What comes by another name than localhost, or from another site, is refused.
package page

import (
	"encoding/json"
	"time"

	"usher/messenger"
	"usher/messenger/simulator"
)

// State is all that the page shows, but for the time line.
type State struct {
	Page Page `json:"page"`
	// Now is the stage's time, Ahead by how much it was put forward.
	Now   time.Time `json:"now"`
	Ahead int64     `json:"ahead_ms"`
	// Up tells whether Usher runs, Graph whether Meta's Graph API answers, Webhooks whether Meta delivers.
	Up       bool `json:"up"`
	Graph    bool `json:"graph"`
	Webhooks bool `json:"webhooks"`
	// Done is what Done does: pass, release or nothing.
	Done string `json:"done"`

	Customers  []Customer  `json:"customers"`  // in the order in which they were made
	Situations []Situation `json:"situations"` // always the same, in the same order
	// Playing is the situation under way, "" for none: meanwhile only Reset and Stop are obeyed.
	Playing string `json:"playing,omitempty"`
	// Tally is what the ledger proves since the stage was opened, over all customers.
	Tally Tally `json:"tally"`
	// First is the Seq of this stage's first entry: those before it are of a stage
	// that was reset, and go from the page.
	First int64 `json:"first"`
}

// Page is the business.
type Page struct {
	ID   messenger.PageID `json:"id"`
	Name string           `json:"name"`
	// App is Usher's own id and Inbox the Page Inbox's: a line's app tells who spoke.
	App   messenger.AppID `json:"app"`
	Inbox messenger.AppID `json:"inbox"`
}

// Customer is one thread: what her phone shows, what Usher holds, what the inbox shows.
type Customer struct {
	PSID   messenger.PSID  `json:"psid"`
	Name   string          `json:"name"`   // "" for somebody without a profile
	Locale string          `json:"locale"` // en_US
	Phone  simulator.Phone `json:"phone"`
	Thread Thread          `json:"thread"`
	Inbox  simulator.Chat  `json:"inbox"`
}

// Thread is what Usher holds of a thread, and what Meta does.
type Thread struct {
	Phase    string    `json:"phase"`           // bot, waiting, human or solved
	Cause    string    `json:"cause,omitempty"` // of the last change: button, agent_spoke, …
	Why      string    `json:"why,omitempty"`   // the same for people: "she tapped Talk to a human"
	Since    time.Time `json:"since,omitzero"`
	Awaiting string    `json:"awaiting,omitempty"` // take, owner or pass: a call must end first
	// Limit is when the time limit brings the bot back, Reopen when the buffer after Done ends.
	Limit  time.Time `json:"limit,omitzero"`
	Reopen time.Time `json:"reopen,omitzero"`
	// Owner is the app that has control at Meta, and until when; "" is idle. OwnerName is for people:
	// "Usher", "Page Inbox", "nobody (idle)", "Meta AI".
	Owner     messenger.AppID `json:"owner,omitempty"`
	OwnerName string          `json:"owner_name"`
	Lapses    time.Time       `json:"lapses,omitzero"` // Meta's 24 h
	Window    time.Time       `json:"window,omitzero"` // until when the Page may write
	Pending   int             `json:"pending"`         // calls that must still be made
	Episode   int             `json:"episode"`         // counts from 1; 0 before the first
}

// Situation is something to play.
type Situation struct {
	ID    string `json:"id"`    // agent_first, done_lost, graph_down, time_limit, five_times, killed
	Title string `json:"title"` // "Graph is down"
	About string `json:"about"` // what it shows, in a sentence
	// Step is what is going on, while it plays.
	Step string `json:"step,omitempty"`
	// Verdict is what came of it the last time, with Proof, the counts behind it.
	Verdict string `json:"verdict,omitempty"` // "", "held" or "broken"
	Proof   string `json:"proof,omitempty"`   // "5 deliveries, 1 answer; 0 lost, 0 doubled, 0 over a person"
}

// Tally is what the ledger proves.
type Tally struct {
	Events   int `json:"events"`   // that Meta had to tell us
	Answered int `json:"answered"` // customers' messages that got an answer, from the bot or a person
	Lost     int `json:"lost"`     // events that were acknowledged and never decided
	Doubled  int `json:"doubled"`  // texts that stand twice on a phone
	Over     int `json:"over"`     // bot messages while people had the thread
}

// Entry is a line of the time line.
type Entry struct {
	Seq  int64          `json:"seq"`
	At   time.Time      `json:"at"`
	PSID messenger.PSID `json:"psid,omitempty"`
	// Kind is act (a person did something), webhook, decision, call or world (Usher died, the clock was put
	// forward, Graph is down, a situation's caption).
	Kind  string `json:"kind"`
	Title string `json:"title"`           // "webhook · message on messaging → 200"
	Cause string `json:"cause,omitempty"` // of a decision
	// Tone is "", good, warn or bad.
	Tone string          `json:"tone,omitempty"`
	JSON json.RawMessage `json:"json,omitempty"` // what was on the wire, or the history's line; for people to unfold
}

// Act is something that a person does, or that one does to the world.
type Act struct {
	Do string `json:"do"`
	// PSID is the customer, unless it concerns all of them.
	PSID messenger.PSID `json:"psid,omitempty"`
	Text string         `json:"text,omitempty"`
}

// What can be done. Text is in brackets.
const (
	DoSays     = "says"     // the customer writes [text, at most 2000 characters]
	DoReply    = "reply"    // she taps a quick reply [its title]
	DoButton   = "button"   // she taps a button or an ice breaker [its title]
	DoMenu     = "menu"     // she taps a menu item [its title]
	DoStart    = "start"    // she taps Get Started
	DoSends    = "sends"    // she sends a medium [image, audio, like, …]
	DoReacts   = "reacts"   // she reacts to the Page's last message [love, …]
	DoReads    = "reads"    // she reads what was written
	DoCustomer = "customer" // a new customer [her name]; the next state has her last
	DoAgent    = "agent"    // an agent replies [text]
	DoOpen     = "open"     // an agent opens the thread: the badge goes
	DoMain     = "main"     // an agent moves it to Main
	DoDone     = "done"     // an agent moves it to Done
	DoForward  = "forward"  // the clock is put forward [30m, 12h, 1d]
	DoKill     = "kill"     // Usher is killed
	DoRestart  = "restart"  // and started again
	DoGraph    = "graph"    // Graph goes [down, or up]
	DoDoneIs   = "done_is"  // what Done does from now on [pass, release or nothing]
	DoPlay     = "play"     // a situation is played [its id], with this customer
	DoStop     = "stop"     // it is broken off
	DoReset    = "reset"    // everything begins anew
)
