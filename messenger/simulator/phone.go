package simulator

import "usher/messenger"

// Phone is what a customer's phone shows.
type Phone struct {
	Lines []Line `json:"lines"`
	// Typing tells that the Page is typing: at most 20 s after typing_on, and until
	// the next message.
	Typing bool `json:"typing"`
	// Menu is the persistent menu: her own (custom_user_settings), or the Page's in
	// her locale or the default one.
	Menu []Button `json:"menu,omitempty"`
	// GetStarted tells that the button is there: nothing has been said yet.
	GetStarted bool `json:"get_started"`
	// IceBreakers are questions to tap before anything has been said.
	IceBreakers []string `json:"ice_breakers,omitempty"`
	// Greeting stands above an empty thread.
	Greeting string `json:"greeting,omitempty"`
}

// Folder is where agents find a thread.
type Folder string

// The folders. In Conversation Routing a thread that the inbox does not control
// stands in Done.
const (
	FolderMain Folder = "main"
	FolderDone Folder = "done"
)

// Chat is a thread as the Page Inbox shows it.
type Chat struct {
	PSID   messenger.PSID `json:"psid"`
	Folder Folder         `json:"folder"`
	// Unread counts what the customer wrote since an agent last opened the thread or
	// replied, while it stands in Main.
	Unread int `json:"unread"`
	// Notified tells that the thread was passed to the inbox and nobody has opened it
	// since.
	Notified bool `json:"notified"`
	// Controls tells whether the inbox has control.
	Controls bool `json:"controls"`
}
