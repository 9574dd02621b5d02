package store

import (
	"strconv"
	"time"
)

// Pseudonym is what stands for a person whose data was erased.
func Pseudonym(user int64) string { return "pessoa " + strconv.FormatInt(user, 10) }

// addressed are the places, beside the audit, in which a person's address stands for what
// they did.
func addressed() [][2]string {
	return [][2]string{{"grants", "given_by"}, {"grants", "taken_by"}, {"quarantine", "settled_by"}, {"alarms", "taken_by"}, {"alarm_changes", "who"},
		{"policies", "set_by"}, {"stages", "who"}, {"orders", "who"}}
}

// EraseUser takes a person away with their name, address and every way in. What they
// did stays, in the audit and elsewhere, as done by their Pseudonym: the audit lets
// an address go for that alone.
func (w *Writer) EraseUser(u User, now time.Time) error {
	name := Pseudonym(u.ID)
	if err := w.DropUser(u.ID, name, now); err != nil {
		return err
	}
	for _, at := range addressed() {
		if err := w.exec(`UPDATE `+at[0]+` SET `+at[1]+` = $2 WHERE `+at[1]+` = $1`, u.Email, name); err != nil {
			return err
		}
	}
	for _, at := range [][2]string{{"orders", "stopped_by"}, {"commands", "text"}, {"commands", "cancel_by"}} {
		if err := w.exec(`UPDATE `+at[0]+` SET `+at[1]+` = $2 WHERE `+at[1]+` = $1`, StoppedBy(u.Email), StoppedBy(name)); err != nil {
			return err
		}
	}
	if err := w.exec(`DELETE FROM api_tokens WHERE user_id = $1`, u.ID); err != nil {
		return err
	}
	if err := w.exec(`INSERT INTO erasing (address, name) VALUES ($1, $2)`, u.Email, name); err != nil {
		return err
	}
	err := w.exec(`UPDATE audit SET who = CASE WHEN who = $1 THEN $2 ELSE who END, object = CASE WHEN object = $1 THEN $2 ELSE object END,
		detail = CASE WHEN detail = $1 THEN $2 ELSE detail END WHERE who = $1 OR object = $1 OR detail = $1`, u.Email, name)
	if err != nil {
		return err
	}
	return w.exec(`DELETE FROM erasing`)
}
