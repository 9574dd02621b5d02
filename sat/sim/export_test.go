package sim

// Converse serves one control connection.
var Converse = (*Sim).converse
