package notify

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"text/template"
	"text/template/parse"
)

// Bounds of a chat's template and of what it makes.
const (
	maxTemplate = 4 << 10
	maxMessage  = 16 << 10
)

// Preset is the template of a chat that is known by name.
type Preset struct{ Name, Title, Template string }

// Presets are the templates of common chats: of incoming webhooks of Slack, Mattermost
// and Rocket.Chat, of Discord, of Google Chat, and of workflows of Teams.
func Presets() []Preset {
	return []Preset{
		{"slack", "Slack, Mattermost, Rocket.Chat, Google Chat", `{"text": {{json .Assunto .Texto}}}`},
		{"discord", "Discord", `{"content": {{json .Assunto .Texto}}}`},
		{"teams", "Microsoft Teams", `{"type": "message", "attachments": [{"contentType": "application/vnd.microsoft.card.adaptive", "content": ` +
			`{"type": "AdaptiveCard", "version": "1.4", "body": [{"type": "TextBlock", "weight": "bolder", "wrap": true, "text": {{json .Assunto}}}, ` +
			`{"type": "TextBlock", "wrap": true, "text": {{json .Texto}}}]}}]}`},
	}
}

// said is what a template may use.
type said struct {
	Assunto   string
	Texto     string
	Link      string
	Gravidade string // notice, warning, critical
}

// mostSaid bounds one text within a message: chats refuse longer ones.
const mostSaid = 1800

// asText is texts, one below the other, as JSON.
func asText(texts ...string) (string, error) {
	all := []rune{}
	for i, t := range texts {
		if i > 0 {
			all = append(all, '\n')
		}
		all = append(all, []rune(t)...)
	}
	if len(all) > mostSaid {
		all = append(all[:mostSaid-1], '…')
	}
	raw, err := json.Marshal(string(all))
	return string(raw), err
}

// CheckTemplate fails, with what to do in pt-BR, when a template makes no message.
func CheckTemplate(text string) error {
	_, err := fillTemplate(text, said{`Bloqueio: "Loja"`, "Linha\n1", "https://exemplo.com.br", "critical"})
	if err == nil {
		return nil
	}
	return &failure{"o modelo não produz um JSON. Ele pode usar só {{json .Assunto}}, {{json .Texto}}, {{json .Link}}, {{json .Gravidade}} e {{if}}", again}
}

var errTemplate = errors.New("the template uses what it may not")

// fillTemplate makes the JSON of a message.
func fillTemplate(text string, of said) ([]byte, error) {
	if len(text) > maxTemplate {
		return nil, errTemplate
	}
	t, err := template.New("chat").Funcs(template.FuncMap{"json": asText}).Parse(text)
	if err != nil {
		return nil, err
	}
	if len(t.Templates()) != 1 || !harmless(t.Root) {
		return nil, errTemplate
	}
	var b bytes.Buffer
	if err := t.Execute(&b, of); err != nil {
		return nil, err
	}
	if b.Len() > maxMessage || !json.Valid(b.Bytes()) {
		return nil, fmt.Errorf("the template makes no JSON object of at most %d bytes", maxMessage)
	}
	return b.Bytes(), nil
}

// harmless tells whether a part of a template can neither loop nor call anything but json.
func harmless(n parse.Node) bool {
	switch n := n.(type) {
	case nil, *parse.TextNode, *parse.FieldNode, *parse.StringNode, *parse.DotNode, *parse.CommentNode:
		return true
	case *parse.IdentifierNode:
		return n.Ident == "json"
	case *parse.ListNode:
		for i := 0; n != nil && i < len(n.Nodes); i++ {
			if !harmless(n.Nodes[i]) {
				return false
			}
		}
		return true
	case *parse.ActionNode:
		return harmless(n.Pipe)
	case *parse.IfNode:
		return harmless(n.Pipe) && harmless(n.List) && harmless(n.ElseList)
	case *parse.PipeNode:
		for _, c := range n.Cmds {
			for _, arg := range c.Args {
				if !harmless(arg) {
					return false
				}
			}
		}
		return true
	}
	return false
}
