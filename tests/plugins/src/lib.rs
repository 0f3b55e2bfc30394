//! Handlers of all kinds in clusters of real daemons, and what a hook of each costs.
