package ingest

import (
	"errors"
	"strings"

	"zelo/agent/wire"
	"zelo/collector/store"
	"zelo/sat"
)

const reasonCommand = "o registro fala de um comando que o coletor não deu a este caixa"

// Bounds of what one report may say.
const (
	maxText  = 2000 // bytes of one line
	maxLines = 2000
	maxParts = wire.MaxResult / wire.ResultPart // of one result
)

// commandNews is what a record says of a command: a report, or a piece of its result.
type commandNews struct {
	report store.CommandReport
	part   *wire.Part
	piece  store.Packed // of part
}

func (g *Ingest) prepareCommand(r *record, item wire.Item) {
	var rep wire.Report
	err := g.codec.Decode(item.Body, &rep)
	if err != nil || rep.Part != nil && (rep.Part.Index < 0 || rep.Part.Index >= maxParts || len(rep.Part.Data) > wire.ResultPart) {
		g.refuse(r, reasonRecord)
		return
	}
	t := &commandNews{part: rep.Part, report: store.CommandReport{Command: rep.Command.String(), Number: int64(rep.Number), State: store.CommandState(short(rep.State)),
		At: moment(rep.At), Text: line(rep.Text), Reason: short(rep.Reason), Reply: short(rep.Reply)}}
	for _, l := range rep.Lines[:min(len(rep.Lines), maxLines)] {
		t.report.Lines = append(t.report.Lines, store.CommandLine{At: moment(l.At), Text: line(l.Text)})
	}
	if res := rep.Result; res != nil {
		t.report.Result = store.Brought{Name: short(res.Name), Type: short(res.Type), Size: res.Size, Parts: res.Parts, Body: res.Body, Cut: res.Cut}
	}
	if rep.Part != nil {
		t.piece = g.o.Store.Pack(rep.Part.Data)
	}
	// Should the command not be this agent's, the record is kept as it came.
	r.news, r.body = t, g.o.Store.Pack(r.data)
}

// line keeps a text that people read.
func line(s string) string { return strings.ToValidUTF8(s[:min(len(s), maxText)], "") }

// putCommand stores what a record says of a command. A log that is whole goes to the
// log of its device.
func (t *transaction) putCommand(r *record, result *Result) error {
	id := r.news.report.Command
	var err error
	if p := r.news.part; p != nil {
		err = t.w.AddPart(r.Agent, id, p.Body, p.Index, r.news.piece)
	} else {
		_, err = t.w.TellCommand(r.Agent, r.news.report, r.At)
	}
	if errors.Is(err, store.ErrNotFound) {
		return t.quarantine(r, reasonCommand, result)
	}
	if err != nil {
		return err
	}
	result.Stored++
	c, err := t.w.Command(id)
	if err != nil || c.Order.Name != wire.CommandLogs || c.Serial == "" {
		return err
	}
	log, err := t.w.ResultOf(c)
	if errors.Is(err, store.ErrNotFound) {
		return nil // there is more to come, or nothing
	}
	if err == nil {
		_, err = t.w.AddLogs(c.Serial, r.At, logLines(log)...)
	}
	return err
}

// logLines are the lines of a device's log, as they are stored.
func logLines(raw []byte) (lines []store.LogLine) {
	for _, l := range sat.ParseLog(raw) {
		lines = append(lines, store.LogLine{At: l.Time, Process: short(l.Process), Level: short(l.Level), Text: line(l.Text)})
	}
	return lines
}
