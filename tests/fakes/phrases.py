"""The sentences of the fake model server, one a line (37, 41 and 43 for each role)."""

CLIENT_EVENTS = """
I stayed late at the office again on Tuesday.
My sister rang and I let it go to voicemail.
I went to the market for the first time in a month.
My manager wrote a short reply to my report.
I burnt the dinner when my parents were over.
The neighbours did not greet me on the stairs.
I tried to read a book and put it down after a page.
We had a team meeting on Wednesday morning.
My friend moved our coffee to next week.
I slept maybe four hours before the exam.
I walked to the river as we had planned.
The bus was full and I had to stand.
My son forgot his lunch and called me at work.
I cleaned half of the kitchen and then stopped.
A colleague asked me about the weekend.
I opened the letter from the landlord at last.
My partner said I had been quiet all evening.
I sat in the car for ten minutes before going in.
There was a birthday party two doors down.
I wrote down three thoughts as you had asked.
I missed the deadline by one day.
My aunt visited and stayed until late.
I spoke up once in the seminar.
I cancelled the dentist again.
The choir started again and I only watched.
I got lost on the way to the new building.
My brother borrowed money and has not mentioned it.
I practised the slow breathing in the lift.
I ate lunch with the others on Friday.
My phone was silent the whole of Sunday.
I watered the plants that were nearly dry.
The interview was moved to the afternoon.
I fell asleep on the sofa with the lights on.
My daughter asked why I was sighing.
I took the stairs because the lift was crowded.
We argued about the holidays for an hour.
I found my old sketches in a drawer.
"""
CLIENT_THOUGHTS = """
I told myself that I always spoil things.
The first thing in my head was that they dislike me.
I thought everyone could see my hands shake.
Something in me said there was no point in trying.
I kept thinking I should be further along by now.
It felt like proof that I am not good enough.
I was sure that they would laugh as soon as I left.
I decided it must be my fault somehow.
My mind went straight to the worst way it could end.
I thought, a normal person would manage this.
Part of me knew it was small, but it felt huge.
I guessed what they were thinking, and it was bad.
I told myself that one slip means all of it failed.
I thought I was a burden to the whole table.
It seemed to me that nothing I do counts.
I was certain that I would say something stupid.
I heard my father's voice telling me to try harder.
I thought, here it goes again.
I could only see what was missing.
I told myself I had no right to complain.
I thought the good part was just luck.
I imagined them talking about it for days.
I believed that if I rested I would never start again.
I thought he was being kind out of pity.
I kept comparing myself with my cousin.
It crossed my mind that I had been unfair to them.
I thought, this will never change.
I told myself that I should not feel like this.
I was convinced that the silence was about me.
I thought they had only asked out of politeness.
I could not stop going over what I had said.
I said to myself that I was lazy.
My thought was that I had let her down.
I assumed the answer would be no.
I felt that one wrong word would end it.
I thought I must look ridiculous.
I kept waiting for somebody to be angry.
It occurred to me that I had done this before.
I told myself to be quiet and get on with it.
I thought it was too late to fix.
I suppose I expected to be left out.
"""
CLIENT_RESPONSES = """
My chest got tight and I went home early.
I felt heavy, maybe a seven out of ten.
So I said nothing and nodded.
I was a bit calmer after a while, though.
I ended up looking at my phone for two hours.
I felt ashamed and then cross with myself.
I did not know what to do with my hands.
I went to bed without eating much.
I wrote it on the sheet, and it looked smaller there.
I stayed, which surprised me.
I apologised three times.
My shoulders are still sore from it.
I cried a little, and it passed.
I made tea and waited.
I could not concentrate after that.
I noticed my jaw was clenched.
I put it off until the evening.
I left before the end.
I felt nothing much, just tired.
I asked her to repeat it, and that helped.
I checked the message again and again.
I felt sad, and a little relieved.
I pretended to be busy.
I tried to count my breaths, as we did here.
I was restless all night.
I told my partner, which I usually do not.
I felt a knot in my stomach.
I laughed it off, but it stayed with me.
I kept it to myself.
I gave myself a break afterwards, only a short one.
I was irritable with everyone.
I felt lonely on the way back.
I went for a walk round the block.
I was worn out by noon.
I avoided the corridor for the rest of the day.
I felt my face go red.
I managed about half of what I had planned.
I sat by the window for a while.
I could name the feeling at least.
I felt guilty for the whole evening.
I was glad that nobody asked.
I rang back the next morning.
I do not know, it is hard to describe.
"""
THERAPIST_REFLECTIONS = """
Thank you for telling me about that so openly.
That sounds like a tiring few days.
I hear how much weight that moment carried for you.
It makes sense that this stayed with you.
You noticed quite a lot there, even while it was hard.
That must have felt lonely.
I can see why your mood dropped at that point.
You went although a part of you wanted to stay away.
It is understandable that you wanted to pull back.
You are describing it with real precision today.
That was a brave thing to try.
I am glad that you brought this one.
It sounds as if the old rule spoke up very quickly.
I notice how strict you were with yourself there.
So there was a hope in it and also a sting.
That is a lot to hold at once.
You were caught between two wishes.
I can hear the disappointment in it.
It seems that the feeling arrived before the thought was clear.
You did not give up on it, I notice.
That fits with the pattern that we drew last time.
What a difficult spot to be in.
You took a small step there, and small steps count.
I appreciate that this is not easy to say.
It sounds like your body reacted first.
There was some care for others in what you did.
I wonder if the week has been harder than it looks.
Your description helps me to follow it.
You gave yourself very little credit for that.
It is good that you wrote it down.
I can imagine how long that evening felt.
It seems the silence was filled in by a worry.
So the day began well and then it turned.
You have put your finger on something there.
That reaction is more common than you may think.
I hear both anger and sadness in that.
We can take our time with this one.
"""
THERAPIST_WORK = """
Let us look at the thought as one guess among several.
We could write what speaks for it and what speaks against it.
Between the event and the feeling there was a quick thought, and that is where we can work.
Sometimes the mind reads a neutral face as a verdict.
I would like us to separate the fact from the story.
One missed step can look like the whole road when mood is low.
We might test that prediction with a small experiment.
Let us slow that scene down and go through it frame by frame.
The word always often hides the times when it was different.
We can rate how strongly you believe it, from 0 to 100.
Avoiding it brings relief now and keeps the fear going later.
A kinder and still honest sentence may be possible here.
Let us see which of the thinking habits on our list this resembles.
It can help to ask what you would tell a good friend.
We could plan one pleasant thing that takes ten minutes.
Let us draw it as a circle of thought, feeling and action.
Your feeling is real, and the conclusion may still be open.
We can look for a middle between perfect and worthless.
It may help to break the task into three pieces.
A should often carries a wish that deserves a gentler form.
Let us put the worst, the best and the likeliest end side by side.
That rule may have protected you once and may cost more than it gives now.
We could practise that sentence aloud before you need it.
Let us use the breathing for a moment and then return to it.
I would like to note this belief, for we may meet it again.
The evidence so far is thinner than the feeling suggests.
We can treat the week ahead as a chance to collect data.
Activity tends to come before motivation rather than after it.
Let us ask how this will look to you a year from now.
There may be a part of this that is yours and a part that is not.
We could share the responsibility out as slices of a pie.
Let us find one detail that does not fit that view.
Thoughts like this come and go, and we need not argue with each.
We can choose a step so small that it feels almost silly.
It may be useful to set a time for worry and leave the rest of the day free.
Perhaps we could look at what the thought makes you do next.
Let us compare it with the last time you felt sure.
We might say it in the words of a fair witness.
Naming the feeling has already taken some of its force.
We could note what went right in the same hour.
Let us check what we know and what we only suppose.
"""
THERAPIST_QUESTIONS = """
What went through your mind just then?
How strongly do you believe it right now?
What would you say to a friend in that place?
Where in your body did you feel it first?
What else could explain her silence?
When was the last time it went differently?
What would be a first step you could manage?
How did you feel an hour later?
What makes that thought so convincing?
Which part of it would you like to look at today?
What did you do that helped, even a little?
What would it mean to you if it were true?
Who could tell us more about it?
How likely does it seem on a calm day?
What are you afraid would happen next?
What did you learn about yourself there?
Could there be a different reading of it?
How would you know that things were getting better?
What would you try if you were not worried?
Which word fits the feeling best?
How long did it stay at that level?
What did the others actually say?
What is the smallest piece of it that you could test?
What got in the way of the plan?
Where did you learn that rule?
How fair is that sentence to you?
What would your sister see in that scene?
Which of the two feels closer to the facts?
What has helped you through such evenings before?
How much of it lay in your hands?
When in the day is it lightest?
What would you like to remember from today?
How does that sit with you as you hear it?
What could you put into the diary for Thursday?
What would change if you believed it a little less?
What do you make of that now?
How might you answer that thought?
What would a good enough result look like?
Which step feels right for this week?
What did you expect, and what happened?
How did you manage to stay?
What would you need for a second try?
Is there something in this that we have missed?
"""
