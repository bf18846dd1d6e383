package main

import (
	_ "embed"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"writ/client"
	"writ/internal/wire"
)

// builtinChat is what people say in a demo unless a chat is given.
//
//go:embed chat.txt
var builtinChat string

// maxSpeakers is how many people a demo gives a device.
const maxSpeakers = 64

// maxChat bounds a chat log, in bytes.
const maxChat = 64 << 20

// line is one message of a chat log.
type line struct{ account, text string }

// chatLog is a chat log as accounts say it.
type chatLog struct {
	lines    []line
	accounts []string          // in the order in which they first speak
	names    map[string]string // name in the log to account
}

// readChat reads a chat log: "name: text" a line. A line without a name goes on
// with the message before it, empty lines are passed over, and a message longer
// than a message can be is said in parts.
func readChat(r io.Reader) (*chatLog, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxChat+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxChat {
		return nil, usage(fmt.Errorf("the chat has more than %d MiB", maxChat>>20), "give a part of it")
	}
	if !utf8.Valid(b) {
		return nil, usage(fmt.Errorf("the chat is not UTF-8 text"), "one \"name: text\" a line")
	}
	c := &chatLog{names: map[string]string{}}
	for s := range strings.Lines(string(b)) {
		if err := c.add(strings.TrimSpace(s)); err != nil {
			return nil, err
		}
	}
	if len(c.lines) == 0 {
		return nil, usage(fmt.Errorf("the chat holds no line \"name: text\""), "one message a line, such as: anna: hello")
	}
	for i := 0; len(c.accounts) < 3; i++ { // who says nothing may listen
		c.account(people[i])
	}
	return c, nil
}

func (c *chatLog) add(s string) error {
	if s == "" {
		return nil
	}
	name, text, ok := strings.Cut(s, ":")
	name, text = strings.TrimSpace(name), strings.TrimSpace(text)
	if last := len(c.lines) - 1; !ok || name == "" || len(name) > wire.MaxName {
		if last >= 0 {
			c.say(c.lines[last].account, s)
		}
		return nil
	}
	account := c.account(name)
	if len(c.accounts) > maxSpeakers {
		return usage(fmt.Errorf("more than %d people speak", maxSpeakers), "give a part of the chat; where lines begin with a date, leave the date out: one \"name: text\" a line")
	}
	if text != "" {
		c.say(account, text)
	}
	return nil
}

// say adds a message, in parts if it is too long for one.
func (c *chatLog) say(account, text string) {
	for len(text) > client.MaxText {
		cut := client.MaxText
		for !utf8.RuneStart(text[cut]) {
			cut--
		}
		c.lines = append(c.lines, line{account, text[:cut]})
		text = text[cut:]
	}
	c.lines = append(c.lines, line{account, text})
}

// account returns the account of a name in the log: the name in small letters
// with everything an account can't have left out, and distinct from the others.
func (c *chatLog) account(name string) string {
	if a, ok := c.names[name]; ok {
		return a
	}
	a := strings.Trim(strings.Map(accountRune, unaccented.Replace(strings.ToLower(name))), "-._@")
	if !wire.ValidName(a) {
		a = "person"
	}
	base := a
	for n := 2; c.has(a); n++ {
		a = base + strconv.Itoa(n)
	}
	c.names[name] = a
	c.accounts = append(c.accounts, a)
	return a
}

// unaccented takes the marks off letters, so that a name stays one that can be read.
var unaccented = strings.NewReplacer("á", "a", "à", "a", "â", "a", "ã", "a", "ä", "a", "å", "a", "æ", "ae", "ç", "c", "č", "c", "ć", "c",
	"é", "e", "è", "e", "ê", "e", "ë", "e", "ę", "e", "ě", "e", "ğ", "g", "í", "i", "ì", "i", "î", "i", "ï", "i", "ı", "i", "ł", "l", "ñ", "n", "ń", "n",
	"ó", "o", "ò", "o", "ô", "o", "õ", "o", "ö", "o", "ø", "o", "ř", "r", "ß", "ss", "ś", "s", "š", "s", "ş", "s", "ú", "u", "ù", "u", "û", "u", "ü", "u",
	"ů", "u", "ý", "y", "ÿ", "y", "ź", "z", "ż", "z", "ž", "z")

// renamed says which accounts have another name than their people in the log, in the
// order in which they first speak.
func (c *chatLog) renamed() string {
	var list []string
	for _, account := range c.accounts {
		for name, a := range c.names {
			if a == account && strings.ToLower(name) != account && !slices.Contains(people, name) {
				list = append(list, fmt.Sprintf("%s is %s", oneLine(name), account))
			}
		}
	}
	return strings.Join(list, ", ")
}

func (c *chatLog) has(account string) bool {
	for _, a := range c.accounts {
		if a == account {
			return true
		}
	}
	return false
}

// accountRune keeps what a name may have, and makes a hyphen of a space.
func accountRune(r rune) rune {
	switch {
	case 'a' <= r && r <= 'z', '0' <= r && r <= '9', strings.ContainsRune("._@-", r):
		return r
	case r == ' ':
		return '-'
	}
	return -1
}
