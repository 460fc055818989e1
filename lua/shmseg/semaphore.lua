--- A semaphore whose permits come back when their holder dies.
-- @module shmseg.semaphore

return (require "shmseg.object".module("semaphore"))
